"""A sum over all devices that share a batch."""

import keras


def sum_over_replicas(x):
    """Sums `x` over the replicas of `tf.distribute`.

    On other backends the batch is global already. A gradient does not flow
    through as one would need for a loss: only counts go in here.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    # There is none while Keras traces the model symbolically.
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)
