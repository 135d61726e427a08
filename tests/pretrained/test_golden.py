"""Outputs equal to timm's, from its own names and from Google's."""

import json

import keras
import numpy as np
import pytest

from keras_vtr.layers import StandardizedConv2D
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.vit.google import _rescale_filters
from tests.pretrained import golden_weights

GOLDEN = np.load(golden_weights.GOLDEN / "timm.npz")
CASES = json.loads(str(GOLDEN["cases"]))
SIZES = [(64, 64), (96, 64)]
IS_LARGE = ("r50_b_16", "r26_s_32", "r50_l_32", "google_r50_b_16")


def write(case, folder):
    shapes, config = CASES[case]["shapes"], CASES[case].get("config")
    return golden_weights.write(folder, shapes, config, config is None)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] * (case in IS_LARGE))
        for case in CASES
    ],
)
def test_outputs_equal_theirs(case, tmp_path):
    source = write(case, tmp_path)
    for i, size in enumerate(SIZES):
        images = golden_weights.random_images(size)
        expected = GOLDEN[f"{case}/{i}"]
        assert np.abs(expected).max() > 0.1
        for image_shape in ((*size, 3), (None, None, 3)):
            model = from_pretrained(source, image_shape=image_shape)
            found = keras.ops.convert_to_numpy(model(images))
            np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_a_rescaled_filter_is_standardized_as_google_does(rng):
    kernel = rng.normal(0.3, 0.02, size=(3, 3, 5, 7)).astype("float32")
    kernel[..., 0] = 0.5  # std 0
    images = rng.normal(size=(2, 6, 5, 5)).astype("float32")
    layer = StandardizedConv2D(7, 3, padding="same", use_bias=False)
    layer.build(images.shape)
    layer.kernel.assign(_rescale_filters(kernel))
    mean, std = kernel.mean(axis=(0, 1, 2)), kernel.std(axis=(0, 1, 2))
    plain = keras.layers.Conv2D(7, 3, padding="same", use_bias=False)
    plain.build(images.shape)
    plain.kernel.assign((kernel - mean) / (std + 1e-5))
    np.testing.assert_allclose(layer(images), plain(images), atol=2e-4)


def test_the_hybrid_equals_transformers_4(tmp_path):
    golden = np.load(golden_weights.GOLDEN / "vit_hybrid.npz")
    shapes, config = (json.loads(str(golden[k])) for k in ("shapes", "config"))
    golden_weights.write(tmp_path, shapes, config)
    for i, size in enumerate(SIZES):
        model = from_pretrained(tmp_path, image_shape=(*size, 3))
        found = model(golden_weights.random_images(size))
        np.testing.assert_allclose(found, golden[str(i)], atol=1e-4, rtol=0)
