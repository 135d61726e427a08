import keras


def enable_determinism():
    """From now on, the same run gives the same bits, more slowly.

    `tf.config.experimental.enable_op_determinism` is not enough on TensorFlow
    2.21. Its optimizer of graphs gathers additions into one `AddN`, which
    begins with the number whose memory happens to be free first, and floats
    that are added in another order round in another way. Here additions stay
    where they are. Call it before anything is trained. Seeds are another
    matter: `keras.utils.set_random_seed`.

    Raises:
        RuntimeError: If the backend isn't TensorFlow. JAX needs it on GPUs
            only, and as a flag: `XLA_FLAGS=--xla_gpu_deterministic_ops=true`.

    Example:

    >>> keras_vtr.training.enable_determinism()  # doctest: +SKIP
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "`enable_determinism` is for TensorFlow. For JAX on a GPU set "
            "XLA_FLAGS=--xla_gpu_deterministic_ops=true. Received: the backend "
            f"{keras.backend.backend()!r}"
        )
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": False}
    )
