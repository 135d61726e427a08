import keras
import numpy as np
import pytest

from keras_vtr.layers import PatchEmbedding
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_equals_one_matrix_on_flattened_patches_in_raster_order(rng):
    images = rng.normal(size=(2, 6, 10, 3)).astype("float32")
    layer = PatchEmbedding(hidden_dim=11, patch_size=2)
    layer(images)
    set_weights(layer)
    kernel, bias = layer.get_weights()
    expected = []
    for row in range(0, 6, 2):
        for column in range(0, 10, 2):
            patch = images[:, row : row + 2, column : column + 2]
            expected.append(
                patch.reshape(2, -1) @ kernel.reshape(-1, 11) + bias
            )
    np.testing.assert_allclose(
        to_numpy(layer(images)), np.stack(expected, axis=1), atol=1e-5
    )


def test_a_patch_of_one_pixel_makes_every_pixel_a_token(rng):
    feature_map = rng.normal(size=(2, 3, 5, 7)).astype("float32")
    layer = PatchEmbedding(hidden_dim=7, patch_size=1)
    layer(feature_map)
    layer.set_weights([np.eye(7)[None, None], np.zeros(7)])
    np.testing.assert_allclose(
        to_numpy(layer(feature_map)), feature_map.reshape(2, 15, 7), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(2, 7, 10, 3), (2, 6, 9, 3)])
def test_patches_must_cover_the_image(shape):
    with pytest.raises(ValueError, match=r"must be multiples of `patch_size`"):
        PatchEmbedding(hidden_dim=8, patch_size=2)(np.ones(shape))


def test_images_of_unknown_size_are_checked_when_they_come():
    layer = PatchEmbedding(hidden_dim=8, patch_size=2)
    layer(keras.Input((None, None, 3)))
    with pytest.raises(ValueError, match=r"images.shape=\(2, 7, 10, 3\)"):
        layer(np.ones((2, 7, 10, 3), "float32"))


def test_images_must_come_in_batches():
    with pytest.raises(ValueError, match=r"`images` must have the shape"):
        PatchEmbedding(hidden_dim=8, patch_size=2)(np.ones((6, 10, 3)))


@pytest.mark.parametrize("argument", ["hidden_dim", "patch_size"])
def test_sizes_must_be_positive_integers(argument):
    config = {"hidden_dim": 8, "patch_size": 2, argument: 0}
    with pytest.raises(ValueError, match=f"Received: {argument}=0"):
        PatchEmbedding(**config)
