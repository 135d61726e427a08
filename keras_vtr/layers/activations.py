"""Activations of feed-forward networks; every GELU of the package is one."""

import math

import keras


def exact_gelu(x):
    """x times the normal distribution function at x (Hendrycks 2016).

    By `erf`, because Keras's own, by name too, uses `erfc` on TensorFlow 2.21,
    which takes about twice as long and which ONNX does not have. LiteRT's
    converter recognizes GELU in this order of operations.
    """
    return (0.5 * x) * (1.0 + keras.ops.erf(x * math.sqrt(0.5)))


def tanh_gelu(x):
    """The approximation of GELU by tanh (Hendrycks 2016, section 2)."""
    return keras.ops.gelu(x, approximate=True)


def quick_gelu(x):
    """The approximation of GELU by a sigmoid (Hendrycks 2016, section 2)."""
    return x * keras.ops.sigmoid(1.702 * x)


def swiglu(x):
    """(..., 2 n) -> (..., n): one half gates the other (Shazeer 2020)."""
    gate, value = keras.ops.split(x, 2, axis=-1)
    return keras.ops.silu(gate) * value


ACTIVATIONS = {
    "gelu": exact_gelu,
    "gelu_tanh": tanh_gelu,
    "quick_gelu": quick_gelu,
    "relu": keras.ops.relu,
    "swiglu": swiglu,
}


def activation_of(activation):
    """The function for an argument `activation` of a layer."""
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    try:
        return keras.activations.get(activation)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`activation` must be one of {sorted(ACTIVATIONS)}, or a name or "
            "function that keras.activations.get takes. Received: "
            f"activation={activation!r}"
        ) from error
