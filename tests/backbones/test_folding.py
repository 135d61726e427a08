import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_resnet
from keras_vtr.backbones import fold_norms
from tests.layer_checks import to_numpy
from tests.tiny_models import TINY_RESNET
from tests.tiny_models import color_detr
from tests.tiny_models import randomize_norms


@pytest.mark.parametrize("dilation", [False, True])
def test_folded_features_are_the_same(dilation, rng):
    resnet = build_resnet((None, None, 3), **TINY_RESNET, dilation=dilation)
    randomize_norms(resnet, rng)
    folded = fold_norms(resnet)
    images = rng.normal(size=(2, 45, 61, 3)).astype("float32")
    for a, b in zip(resnet(images), folded(images), strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-4)
    assert not any("gamma" in x.path for x in folded.weights)


def test_a_detector_is_folded_with_its_backbone(rng):
    detr = color_detr(
        backbone=build_resnet((32, 48, 3), **TINY_RESNET), masks=False
    )
    randomize_norms(detr.get_layer("resnet"), rng)
    before = detr.get_weights()
    folded = fold_norms(detr)
    images = rng.uniform(0, 255, size=(2, 32, 48, 3)).astype("float32")
    for key, value in detr(images).items():
        np.testing.assert_allclose(
            to_numpy(folded(images)[key]), to_numpy(value), atol=1e-4
        )
    assert not any("moving" in x.path for x in folded.weights)
    for old, new in zip(before, detr.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_functional_models_are_folded():
    with pytest.raises(ValueError, match="must be a functional model"):
        fold_norms(keras.layers.Dense(3))
