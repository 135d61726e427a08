"""Value and gradient of a function, on any backend that the tests run on."""

import keras
import numpy as np


def gradient(function, x):
    """Value of the scalar function of x, and its derivative there."""
    if keras.backend.backend() == "jax":
        import jax

        value, slope = jax.value_and_grad(function)(x)
    else:
        import tensorflow as tf

        x = tf.nest.map_structure(tf.convert_to_tensor, x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        slope = tape.gradient(value, x)
    return float(value), keras.tree.map_structure(np.asarray, slope)
