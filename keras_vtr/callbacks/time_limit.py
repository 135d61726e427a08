import collections
import time

import keras

RESERVED_SHARE = 0.05
EPOCH_MARGIN = 1.1


class TimeLimitReached(Exception):
    """Training stopped within an epoch, after a checkpoint."""


class TimeLimit(keras.callbacks.Callback):
    """Ends a training well before a time is over.

    After an epoch it stops the training if a further one, as long as the
    longest so far but the first, which is compiled, and a tenth more, would not
    fit. What must fit, too, is what follows `fit`: a twentieth of the time is
    reserved for it, and as much as evaluation and saving took after an epoch.

    If not even the epoch in progress fits, because it is the first one or
    slower than those before, the training stops at a step: the checkpoint is
    saved, the epoch isn't evaluated, and `fit` raises `TimeLimitReached`. In
    both cases the same training, run again, goes on where it stopped. Learning
    rate schedules count steps and don't know the limit.

    It comes after the checkpoint in the list of callbacks.

    Args:
        seconds: The time.
        checkpoint: Optional `Checkpoint` of the training.
        evaluation_steps: Batches that are evaluated after an epoch. Until an
            evaluation was measured, each is taken to last as long as a step.
        start: When the time began, by `time.monotonic()`. Default: now.

    Raises:
        ValueError: If `seconds` is not above 0, or over before the first step.
        TimeLimitReached: From `fit`, as said above.

    Example:

    >>> limit = keras_vtr.callbacks.TimeLimit(3600)
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((3, 2)), np.ones((3, 1))
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[limit])
    >>> print(len(history.epoch), limit.reason)
    2 None
    """

    def __init__(
        self, seconds, checkpoint=None, *, evaluation_steps=0, start=None
    ):
        super().__init__()
        if not seconds > 0:
            raise ValueError(
                f"`seconds` must be above 0. Received: seconds={seconds}"
            )
        self.seconds = seconds
        self.checkpoint = checkpoint
        self.evaluation_steps = evaluation_steps
        self.start = time.monotonic() if start is None else start
        self.reason = None  # why it stopped the training

    @property
    def seconds_left(self):
        """Until the time is over."""
        return self.start + self.seconds - time.monotonic()

    def on_train_begin(self, logs=None):
        self.reason = None
        self._steps = collections.deque(maxlen=100)
        self._epochs, self._after_epoch = [], None
        if not self._fits(0):
            raise ValueError(
                "The time limit must be longer than the time before the first "
                f"step. Received: {self.seconds} seconds, "
                f"{self.seconds - self.seconds_left:.0f} of them are over"
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_began = self._step_ended = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        before, self._step_ended = self._step_ended, time.monotonic()
        self._steps.append(self._step_ended - before)
        if batch + 1 == self.params["steps"]:
            needed = self._after_epoch
            if needed is None:
                needed = self.evaluation_steps * min(self._steps)
        else:
            needed = max(self._steps)
        if not self._fits(needed):
            self.reason = "a further step would not fit into the time limit"
            if self.checkpoint is not None:
                self.checkpoint.save()
            raise TimeLimitReached(self.reason)

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        after = now - self._step_ended
        self._after_epoch = max(after, self._after_epoch or 0)
        self._epochs.append(now - self._epoch_began)
        needed = EPOCH_MARGIN * max(self._epochs[1:] or self._epochs)
        if epoch + 1 < self.params["epochs"] and not self._fits(needed):
            self.reason = "a further epoch would not fit into the time limit"
            self.model.stop_training = True

    def _fits(self, seconds):
        reserved = RESERVED_SHARE * self.seconds + (self._after_epoch or 0)
        return seconds + reserved < self.seconds_left
