import keras


def enable_determinism():
    """Makes TensorFlow deterministic: equal runs give equal bits, more slowly.

    `tf.config.experimental.enable_op_determinism` is not enough on TensorFlow
    2.21. Its graph optimizer merges additions into one `AddN`, whose order of
    summation depends on which memory is free first, and rounding depends on the
    order. This function also disables that optimization. Call it before any
    training, and set the seeds with `keras.utils.set_random_seed`.

    Raises:
        RuntimeError: If the backend isn't TensorFlow. JAX needs only a flag,
            and only on GPUs: `XLA_FLAGS=--xla_gpu_deterministic_ops=true`.

    Example:

    >>> keras_vtr.training.enable_determinism()  # doctest: +SKIP
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "The backend must be TensorFlow. For JAX on a GPU set "
            "XLA_FLAGS=--xla_gpu_deterministic_ops=true. Received: "
            f"backend={keras.backend.backend()!r}"
        )
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": False}
    )
