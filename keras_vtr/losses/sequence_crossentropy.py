import keras
from keras import ops

from keras_vtr.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="keras_vtr")
class SequenceCrossentropy(keras.losses.Loss):
    """Cross-entropy of the real tokens of sequences, with label smoothing.

    Vaswani et al. 2017, section 5.4, after Szegedy et al. 2015: the target is
    the probability `1 - label_smoothing` for the true token; the rest is
    distributed evenly over all tokens. Tokens of 0 are padding and count
    neither in the sum nor in the mean.

    Args:
        label_smoothing: In [0, 1).

    Call arguments:
        y_true: (B, T) integers, 0 for padding.
        y_pred: (B, T, V) logits.

    Returns:
        The mean over all real tokens of the batch, a float32 scalar; 0 if
        there are none. Under `tf.distribute`, this replica's share of it.

    Raises:
        ValueError: If `label_smoothing` is out of its range.

    Example:

    >>> loss = keras_vtr.losses.SequenceCrossentropy(label_smoothing=0.0)
    >>> y_true, y_pred = np.array([[3, 0]]), np.zeros((1, 2, 8))
    >>> print(f"{float(loss(y_true, y_pred)):.3f} = log 8")
    2.079 = log 8
    """

    def __init__(
        self, label_smoothing=0.1, name="sequence_crossentropy", **kwargs
    ):
        # `call` divides by the number of tokens, not of rows.
        kwargs = {"reduction": "sum", "dtype": "float32", **kwargs}
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be in [0, 1). Received: "
                f"label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        # `Loss.__call__` casts integers to float32 (Keras 3.15).
        labels = ops.cast(ops.round(ops.cast(y_true, "float32")), "int32")
        log_probabilities = ops.log_softmax(
            ops.cast(y_pred, "float32"), axis=-1
        )
        of_true = ops.take_along_axis(
            log_probabilities, labels[..., None], axis=-1
        )[..., 0]
        smoothed = ops.mean(log_probabilities, axis=-1)
        share = self.label_smoothing
        losses = -(1.0 - share) * of_true - share * smoothed  # (B, T)
        is_real = labels != 0
        count = sum_over_replicas(ops.sum(ops.cast(is_real, "float32")))
        return ops.where(is_real, losses, 0.0) / ops.maximum(count, 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
        }
