import contextlib

import keras


@contextlib.contextmanager
def averaged_weights(model):
    """Replaces a model's weights by the optimizer's EMA within the context.

    With `use_ema=True` an optimizer keeps an exponential moving average of the
    weights, which is often better than the weights (Polyak and Juditsky 1992);
    `fit` leaves it in the model at its end. Without `use_ema` nothing happens.
    `keras.callbacks.SwapEMAWeights` swaps by adding and subtracting, which
    doesn't restore the same bits (Keras 3.15.1, on TensorFlow).

    Args:
        model: A model, compiled or not.

    Returns:
        A context manager.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(1.0, use_ema=True), "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    >>> with keras_vtr.optimizers.averaged_weights(model):
    ...     prediction = model.predict(np.ones((1, 2)), verbose=0)
    """
    optimizer = getattr(model, "optimizer", None)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not getattr(inner, "use_ema", False) or not inner.built:
        yield
        return
    variables = model.trainable_variables
    kept = [keras.ops.convert_to_numpy(variable) for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
