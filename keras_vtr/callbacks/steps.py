"""How far an epoch is, in steps, which an execution may hold several of."""

import keras


class EpochSteps:
    """Counts the steps of an epoch, whatever `steps_per_execution` is.

    Keras (3.15.1) calls back once an execution, with the number of the step
    that a full one ends at. The last one of an epoch ends earlier if the data
    do, and goes beyond `steps_per_epoch` if they don't.

    Args:
        callback: The callback that counts, as an epoch begins.
        skipped: How many steps of this epoch were done by an earlier run.
    """

    def __init__(self, callback, skipped=0):
        self._callback = callback  # whose `model` is up to date on JAX, too
        self._steps = callback.params.get("steps")
        self._start = _num_updates(callback.model.optimizer) - skipped

    def done(self, batch):
        """Steps that are done when `batch` ends."""
        full = batch + 1
        if self._steps is None or full <= self._steps:
            return full
        updates = _num_updates(self._callback.model.optimizer) - self._start
        return full if updates > self._steps else self._steps


def _num_updates(optimizer):
    """All since the optimizer was made; skipped ones too, if it counts them."""
    if hasattr(optimizer, "counts"):
        count = optimizer.counts[0]
    else:
        # Not `iterations`, which with accumulation counts several as one.
        count = getattr(optimizer, "inner_optimizer", optimizer)._iterations
    return int(keras.ops.convert_to_numpy(count))
