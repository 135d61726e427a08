"""The number of completed steps of an epoch."""

import keras


class EpochSteps:
    """Counts the steps of an epoch, with any `steps_per_execution`.

    Keras (3.15.1) calls callbacks once per execution, with the number of the
    step at which a full execution ends. The last execution of an epoch ends
    earlier if the data end, and otherwise exceeds `steps_per_epoch`.

    Args:
        callback: The callback that counts, at the beginning of an epoch.
        skipped: Number of steps of this epoch that an earlier run completed.
    """

    def __init__(self, callback, skipped=0):
        self._callback = callback  # On JAX its `model` property syncs state.
        self._steps = callback.params.get("steps")
        self._start = _num_updates(callback.model.optimizer) - skipped

    def done(self, batch):
        """The number of completed steps at the end of `batch`."""
        full = batch + 1
        if self._steps is None or full <= self._steps:
            return full
        updates = _num_updates(self._callback.model.optimizer) - self._start
        return full if updates > self._steps else self._steps


def _num_updates(optimizer):
    """Updates by an optimizer, with the skipped ones if it counts them."""
    if hasattr(optimizer, "counts"):
        count = optimizer.counts[0]
    else:
        # Private (Keras 3.15.1), because the public `iterations` counts
        # several steps as one when gradients are accumulated.
        count = getattr(optimizer, "inner_optimizer", optimizer)._iterations
    return int(keras.ops.convert_to_numpy(count))
