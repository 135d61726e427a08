import keras
import numpy as np
import pytest

from keras_vtr.data.augmentation import resize
from keras_vtr.data.pictures.resizing import fitted
from keras_vtr.data.pictures.resizing import resized
from keras_vtr.data.pictures.resizing import scaled
from tests.data import picture_files as pictures


def image(height, width):
    return np.array(pictures.picture(height, width))


@pytest.mark.parametrize("size", [(23, 37), (40, 17), (1, 50), (50, 1)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"antialias": True},
        {"crop_to_aspect_ratio": True},
        {"interpolation": "bicubic", "antialias": True},
    ],
)
def test_resized_is_keras_s_layer_on_float32(size, options):
    layer = keras.layers.Resizing(24, 16, **options)
    expected = layer(image(*size).astype("float32"))
    found = resized(layer)(image(*size))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_image_of_the_right_size_is_left_as_it_is():
    same = image(24, 16)
    layer = keras.layers.Resizing(24, 16, antialias=True)
    np.testing.assert_array_equal(resized(layer)(same), same)


def test_scaled_is_what_a_data_set_does():
    found = scaled(24, 40)(image(30, 90))
    assert found.shape == (13, 40, 3)
    expected, _ = resize(image(30, 90), {}, 24, 40)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((60, 40), (24, 16)),
        ((10, 40), (8, 32)),
        ((1, 500), (1, 32)),
        ((500, 1), (24, 1)),
        ((24, 32), (24, 32)),
    ],
)
def test_fitted_keeps_the_form(size, expected):
    assert fitted(24, 32)(image(*size)).shape == (*expected, 3)
