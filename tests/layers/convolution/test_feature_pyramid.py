import numpy as np
import pytest

from keras_vtr.layers import FeaturePyramid
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def feature_map(rng, *sides, channels=4):
    return rng.normal(size=(2, *sides, channels)).astype("float32")


def test_each_pixel_becomes_four_by_one_matrix_each(rng):
    x = feature_map(rng, 3, 5)
    layer = FeaturePyramid(scales=(2,))
    layer(x)
    set_weights(layer)
    (found,) = layer(x)
    kernel, bias = (to_numpy(w) for w in layer.doubling.weights)
    for i in range(2):
        for j in range(2):
            expected = x @ kernel[i, j].T + bias
            np.testing.assert_allclose(
                to_numpy(found)[:, i::2, j::2], expected, atol=1e-5
            )


def test_four_by_four_pixels_are_made_in_two_steps(rng):
    """A norm of two channels and GELU between: -1 and 1, then known numbers."""
    x = feature_map(rng, 1, 1)
    layer = FeaturePyramid(scales=(4, 1))
    fine, same = layer(x)
    assert fine.shape == (2, 4, 4, 1) and layer.norm.gamma.shape == (2,)
    np.testing.assert_array_equal(to_numpy(same), x)
    kernel = np.zeros((2, 2, 1, 2), "float32")
    kernel[..., 0, :] = [10.0, 1.0]
    layer.second.kernel.assign(kernel)
    middle = to_numpy(layer.first(x))
    larger = (middle[..., 0] > middle[..., 1])[..., None]
    expected = np.where(larger, 8.413 - 0.159, -1.587 + 0.841)
    expected = expected.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(to_numpy(layer(x)[0]), expected, atol=0.02)


def test_half_the_size_counts_padding_as_zeros(rng):
    x = feature_map(rng, 3, 5)
    layer = FeaturePyramid(scales=(0.5,))
    layer(x)
    set_weights(layer)
    mask = np.ones((2, 4, 8), bool)
    mask[:, 3:], mask[:, :, 5:] = False, False
    more = np.pad(x, ((0, 0), (0, 1), (0, 3), (0, 0)), constant_values=7.0)
    (alone,), (among,) = layer(x), layer(more, padding_mask=mask)
    assert alone.shape == (2, 2, 3, 4) and among.shape == (2, 2, 4, 4)
    np.testing.assert_allclose(
        to_numpy(among)[:, :, :3], to_numpy(alone), atol=1e-5
    )


@pytest.mark.parametrize("scales", [(), (3,), (1, 2), (2, 2), 2, None])
def test_other_scales_are_refused(scales):
    with pytest.raises(ValueError, match="`scales` must be some of"):
        FeaturePyramid(scales=scales)


def test_channels_that_can_not_be_halved_are_refused(rng):
    with pytest.raises(ValueError, match="must be a multiple of each scale"):
        FeaturePyramid(scales=(4,))(feature_map(rng, 3, 5, channels=6))
