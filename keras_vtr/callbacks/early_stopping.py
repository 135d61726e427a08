import keras


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training whose epochs have not become better for a while.

    As `keras.callbacks.EarlyStopping`, whose count of epochs is lost when a
    training resumes (Keras 3.15.1). Here the checkpoint keeps it, so that a
    resumed training stops where an uninterrupted one would. Run again, it
    trains no further epoch.

    It comes after the checkpoint in the list of callbacks.

    Args:
        checkpoint: The `Checkpoint` of the training, with a `monitor`.
        patience: Number of epochs without a better value after which the
            training ends.

    Raises:
        ValueError: If `patience` is below 1 or there is no `monitor`.

    Example:

    >>> checkpoint = keras_vtr.callbacks.Checkpoint(
    ...     "runs/mine", monitor="val_AP"
    ... )  # doctest: +SKIP
    >>> early = keras_vtr.callbacks.EarlyStopping(checkpoint, patience=5)
    ... # doctest: +SKIP
    """

    def __init__(self, checkpoint, patience):
        super().__init__()
        if checkpoint.monitor is None or patience < 1:
            raise ValueError(
                "`patience` must be 1 or more, and `checkpoint` have a "
                f"`monitor`. Received: patience={patience}, "
                f"checkpoint.monitor={checkpoint.monitor!r}"
            )
        self.checkpoint = checkpoint
        self.patience = patience
        self.reason = None  # why it stopped the training

    def on_train_begin(self, logs=None):
        if self._is_over():
            # Private, as in `Checkpoint`: before an epoch, Keras (3.15.1)
            # doesn't read `stop_training`.
            self.model._initial_epoch = self.params["epochs"]

    def on_epoch_end(self, epoch, logs=None):
        if self._is_over():
            self.model.stop_training = True

    def _is_over(self):
        waited = self.checkpoint.num_epochs_since_best
        is_over = waited >= self.patience
        if is_over:
            name = self.checkpoint.monitor
            self.reason = f"{name} has not improved for {waited} epochs"
        return is_over
