"""Kernels of patches of another size, as FlexiViT resizes them."""

import json

import keras
import numpy as np
import pytest

from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.vit.patch_resizing import resize_kernel
from tests.layer_checks import to_numpy
from tests.pretrained import golden_weights

CASE = json.loads(str(np.load(golden_weights.GOLDEN / "timm.npz")["cases"]))[
    "vit"
]


@pytest.mark.parametrize("size", [5, 7, 11])
def test_an_enlarged_patch_has_the_token_that_it_had(size, rng):
    kernel = rng.normal(size=(5, 5, 3, 2)).astype("float32")
    patch = rng.normal(size=(1, 5, 5, 3)).astype("float32")
    larger = keras.ops.image.resize(patch, (size, size), "bilinear")
    found = np.tensordot(to_numpy(larger)[0], resize_kernel(kernel, size), 3)
    np.testing.assert_allclose(
        found, np.tensordot(patch[0], kernel, 3), atol=1e-4
    )


def test_a_smaller_kernel_is_the_nearest_one(rng):
    """By least squares over all patches that are made smaller."""
    kernel = rng.normal(size=(6, 6, 1, 1)).astype("float32")
    pictures = np.eye(36).reshape(36, 6, 6, 1).astype("float32")
    smaller = to_numpy(keras.ops.image.resize(pictures, (4, 4), "bilinear"))
    expected = np.linalg.lstsq(
        smaller.reshape(36, 16), kernel.reshape(36), rcond=None
    )[0]
    found = resize_kernel(kernel, 4)
    np.testing.assert_allclose(found.reshape(16), expected, atol=1e-4)


def test_a_model_of_other_patches_is_loaded(tmp_path, capsys):
    folder = golden_weights.write(tmp_path, **CASE)
    own = from_pretrained(folder, verbose=False)
    images = golden_weights.random_images((64, 64))
    patches = images.reshape(2, 4, 16, 4, 16, 3).swapaxes(2, 3)
    patches = patches.reshape(32, 16, 16, 3)
    larger = to_numpy(keras.ops.image.resize(patches, (32, 32), "bilinear"))
    larger = larger.reshape(2, 4, 4, 32, 32, 3).swapaxes(2, 3)
    larger = larger.reshape(2, 128, 128, 3)
    model = from_pretrained(folder, patch_size=32, image_shape=(128, 128, 3))
    assert "from 16 x 16 to 32 x 32 pixels" in capsys.readouterr().out
    np.testing.assert_allclose(
        to_numpy(model(larger)), to_numpy(own(images)), atol=1e-3
    )
    smaller = from_pretrained(folder, patch_size=8)
    assert smaller.input_shape == (None, 64, 64, 3)
    assert "Positions were resized from 4 x 4 to 8 x 8" in (
        capsys.readouterr().out
    )
