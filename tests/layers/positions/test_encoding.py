import math

import keras
import numpy as np
import pytest

from keras_vtr.layers import SinePositionEncoding1D
from keras_vtr.layers import SinePositionEncoding2D
from tests.layer_checks import to_numpy


def restate(padding_mask, num_channels, temperature=10000):
    """Carion et al. 2020's `PositionEmbeddingSine`, pixel by pixel."""
    batch_size, height, width = padding_mask.shape
    output = np.zeros((batch_size, height, width, num_channels))
    half = num_channels // 2
    for b in range(batch_size):
        for i in range(height):
            for j in range(width):
                real = padding_mask[b]
                y = real[: i + 1, j].sum() / (real[:, j].sum() + 1e-6)
                x = real[i, : j + 1].sum() / (real[i].sum() + 1e-6)
                for offset, position in ((0, y), (half, x)):
                    for c in range(half):
                        wavelength = temperature ** (2 * (c // 2) / half)
                        angle = position * 2 * math.pi / wavelength
                        wave = math.cos if c % 2 else math.sin
                        output[b, i, j, offset + c] = wave(angle)
    return output.reshape(batch_size, height * width, num_channels)


def test_equals_the_restatement_of_detr(rng):
    feature_map = np.ones((2, 3, 5, 12), "float32")
    layer = SinePositionEncoding2D()
    np.testing.assert_allclose(
        to_numpy(layer(feature_map)),
        restate(np.ones((2, 3, 5), bool), 12),
        atol=1e-5,
    )
    padding_mask = np.zeros((2, 3, 5), bool)
    padding_mask[0, :2, :4] = True
    padding_mask[1, :3, :2] = True
    np.testing.assert_allclose(
        to_numpy(layer(feature_map, padding_mask=padding_mask)),
        restate(padding_mask, 12),
        atol=1e-5,
    )


def test_padding_does_not_change_the_encoding_of_real_pixels():
    layer = SinePositionEncoding2D()
    alone = to_numpy(layer(np.ones((1, 3, 4, 8))))
    padding_mask = np.zeros((1, 5, 7), bool)
    padding_mask[:, :3, :4] = True
    padded = to_numpy(
        layer(np.ones((1, 5, 7, 8)), padding_mask=padding_mask)
    ).reshape(5, 7, 8)
    np.testing.assert_allclose(
        padded[:3, :4].reshape(1, 12, 8), alone, atol=1e-6
    )


def test_every_pixel_has_its_own_encoding():
    encodings = to_numpy(SinePositionEncoding2D()(np.ones((1, 7, 11, 16))))[0]
    distance = np.linalg.norm(encodings[:, None] - encodings[None], axis=-1)
    assert distance[~np.eye(77, dtype=bool)].min() > 0.05


def test_the_width_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        SinePositionEncoding2D()(np.ones((2, 3, 5, 6)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"`feature_map` must have the shape"):
        SinePositionEncoding2D()(np.ones((2, 15, 8)))
    with pytest.raises(ValueError, match=r"`padding_mask` must have the shap"):
        SinePositionEncoding2D()(
            np.ones((2, 3, 5, 8)), padding_mask=np.ones((2, 15), bool)
        )
    with pytest.raises(ValueError, match="must have a known width D"):
        SinePositionEncoding2D()(keras.Input((3, 5, None)))


@pytest.mark.parametrize("temperature", [0, -1.0, "10000"])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="`temperature` must be a number ab"):
        SinePositionEncoding2D(temperature)


def test_a_sequence_s_encoding_is_the_paper_s():
    found = to_numpy(SinePositionEncoding1D()(np.zeros((2, 50, 12), "float32")))
    for position in range(50):
        for i in range(6):
            angle = position / 10000 ** (2 * i / 12)
            pair = found[:, position, 2 * i : 2 * i + 2]
            expected = [[math.sin(angle), math.cos(angle)]] * 2
            np.testing.assert_allclose(pair, expected, atol=1e-5)


def test_a_step_to_the_right_is_the_same_rotation_everywhere():
    x = to_numpy(SinePositionEncoding1D()(np.zeros((1, 40, 8), "float32")))[0]
    pairs = x[:, ::2] * 1j + x[:, 1::2]  # e^(i position / wavelength)
    steps = pairs[3:] / pairs[:-3]
    np.testing.assert_allclose(
        steps, np.broadcast_to(steps[:1], steps.shape), atol=1e-5
    )


def test_a_sequence_of_odd_width_is_refused():
    with pytest.raises(ValueError, match=r"must be even.*\(1, 2, 5\)"):
        SinePositionEncoding1D()(np.zeros((1, 2, 5)))
