"""Sums over all devices that share a batch."""

import keras


def sum_over_replicas(x):
    """Sums `x` over the replicas of `tf.distribute`.

    On other backends the batch is global already. Only for counts and
    gradients: its own gradient is not that of a loss.
    """
    if num_replicas() == 1:
        return x
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def num_replicas():
    """The number of replicas of `tf.distribute` in the current context."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    # None while Keras traces the model symbolically.
    return 1 if context is None else context.num_replicas_in_sync
