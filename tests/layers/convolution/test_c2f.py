import numpy as np
import pytest

from keras_vtr.layers import C2fProjection
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers.numpy_reference import below
from tests.layers.numpy_reference import layer_norm
from tests.layers.numpy_reference import weights_of


def test_a_single_pixel_equals_a_restatement_in_numpy(rng):
    """Where only the middle of a kernel of 3 x 3 counts."""
    x = rng.normal(size=(2, 1, 1, 7)).astype("float32")
    layer = C2fProjection(6, num_blocks=2, layer_norm_epsilon=1e-3)
    layer(x)
    set_weights(layer)
    weights = weights_of(layer)

    def apply(name, x):
        kernel = below(weights, f"{name}_convolution")["kernel"]
        middle = kernel.shape[0] // 2
        x = x @ kernel[middle, middle]
        x = layer_norm(below(weights, f"{name}_norm"), x, 1e-3)
        return x / (1 + np.exp(-x))

    parts = np.split(apply("input", x), 2, axis=-1)
    for i in range(2):
        parts.append(apply(f"block_{i}_1", apply(f"block_{i}_0", parts[-1])))
    expected = apply("output", np.concatenate(parts, axis=-1))
    expected = layer_norm(below(weights, "norm"), expected, 1e-6)
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-5)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`expansion` must leave each block"):
        C2fProjection(3, expansion=0.1)
    with pytest.raises(ValueError, match="`activation` must be one of"):
        C2fProjection(8, activation="nothing")
