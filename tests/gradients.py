"""A function's value and gradient, on any backend that the tests run on."""

import functools

import keras
import numpy as np


def trained(function):
    """The function as `fit` runs it: JAX compiles the whole, not each line."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


@functools.cache
def _value_and_gradient(function):
    import jax

    return jax.jit(jax.value_and_grad(function))


def gradient(function, x, *others):
    """Value of the scalar function of all, and its derivative by x there."""
    if keras.backend.backend() == "jax":
        value, slope = _value_and_gradient(function)(x, *others)
    else:
        import tensorflow as tf

        x = tf.nest.map_structure(tf.convert_to_tensor, x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x, *others)
        slope = tape.gradient(value, x)
    return float(value), keras.tree.map_structure(np.asarray, slope)
