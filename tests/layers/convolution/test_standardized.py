import numpy as np
import pytest

from keras_vtr.layers import StandardizedConv2D
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_filters_have_mean_0_and_variance_1(rng):
    images = rng.normal(size=(1, 3, 3, 4)).astype("float32")
    layer = StandardizedConv2D(2, 3, use_bias=False)
    layer(images)
    set_weights(layer)
    kernel = layer.get_weights()[0].astype("float64")
    kernel = (kernel - kernel.mean((0, 1, 2))) / kernel.std((0, 1, 2))
    expected = np.einsum("bhwc,hwco->bo", images, kernel)
    found = to_numpy(layer(images))[:, 0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_filter_of_any_scale_and_offset_is_the_same(rng):
    images = rng.normal(size=(2, 5, 5, 3)).astype("float32")
    layer = StandardizedConv2D(4, 3)
    before = to_numpy(layer(images))
    kernel, bias = layer.get_weights()
    layer.set_weights([7 * kernel + 2, bias])
    np.testing.assert_allclose(to_numpy(layer(images)), before, atol=1e-3)


def test_epsilon_must_be_positive():
    with pytest.raises(ValueError, match="Received: epsilon=0"):
        StandardizedConv2D(4, 3, epsilon=0)
