"""Sums over all devices that share a batch."""

import keras


def sum_over_replicas(x):
    """Sums `x` over the replicas of `tf.distribute`.

    On other backends the batch is global already. A gradient does not flow
    through as one would need for a loss: only counts and gradients go in here.
    """
    if num_replicas() == 1:
        return x
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def num_replicas():
    """How many replicas of `tf.distribute` share what is being traced."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    # There is none while Keras traces the model symbolically.
    return 1 if context is None else context.num_replicas_in_sync
