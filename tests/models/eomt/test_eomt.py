import keras
import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.detections import detect
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import UncertainPoints
from keras_vtr.losses import eomt_terms
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.models import build_eomt
from keras_vtr.serving import export_detector
from tests.layer_checks import to_numpy
from tests.tiny_models import tiny_vit


def tiny_eomt(**change):
    vit = tiny_vit(
        image_shape=(64, 64, 1), patch_size=16, num_register_tokens=2
    )
    return build_eomt(
        10, vit, **{"num_queries": 6, "num_query_blocks": 1, **change}
    )


def test_it_answers_with_classes_and_masks_of_a_quarter_of_the_size(rng):
    eomt = tiny_eomt(class_names=[f"digit {i}" for i in range(10)])
    shapes = {key: tuple(x.shape) for key, x in eomt.output.items()}
    assert shapes == {
        "logits": (None, 6, 11),
        "masks": (None, 6, 16, 16),
        "auxiliary_logits": (None, 1, 6, 11),
        "auxiliary_masks": (None, 1, 6, 16, 16),
    }
    assert eomt.num_classes == 10 and eomt.class_names[3] == "digit 3"


@pytest.mark.parametrize(("stride", "side"), [(2, 32), (16, 4)])
def test_masks_are_as_fine_as_asked(stride, side):
    eomt = tiny_eomt(mask_stride=stride)
    assert eomt.output["masks"].shape == (None, 6, side, side)
    with pytest.raises(ValueError, match=r"\[16, 8, 4, 2, 1\].*mask_stride=3"):
        tiny_eomt(mask_stride=3)


@pytest.mark.parametrize(("patch_size", "side"), [(14, 2), (2, 1), (12, 2)])
def test_masks_are_fine_by_default_with_any_patch_size(patch_size, side):
    vit = tiny_vit(
        image_shape=(4 * patch_size,) * 2 + (1,), patch_size=patch_size
    )
    eomt = build_eomt(10, vit, num_queries=6, num_query_blocks=1)
    assert eomt.output["masks"].shape == (None, 6, 4 * side, 4 * side)


def test_the_vit_s_weights_are_copied():
    vit = tiny_vit(image_shape=(64, 64, 1), patch_size=16)
    eomt = build_eomt(10, vit, num_queries=6, num_query_blocks=1)
    copies = {x.path.removeprefix("vit_"): x for x in eomt.weights}
    assert all(
        np.array_equal(copies[x.path], x)
        for x in vit.weights
        if not x.path.startswith("head")
    )
    assert len(copies) > len(vit.weights)


@pytest.mark.parametrize(
    "mask_steps", [pytest.param(None, marks=pytest.mark.any_backend), 6]
)
def test_it_is_trained_saved_and_evaluated(mask_steps, tmp_path):
    eomt = tiny_eomt(mask_steps=mask_steps)
    terms = eomt_terms(points=UncertainPoints(16))
    eomt.compile("adamw", HungarianLoss(terms))
    scenes = digit_scenes("train", batch_size=4, num_scenes=16, masks=True)
    history = eomt.fit(scenes, epochs=2, verbose=0, shuffle=False).history
    assert history["loss"][1] < history["loss"][0]
    eomt.save(tmp_path / "eomt.keras")
    again = keras.models.load_model(tmp_path / "eomt.keras")
    images, _ = next(iter(scenes))
    for key, value in eomt(images).items():
        np.testing.assert_allclose(
            to_numpy(again(images)[key]), to_numpy(value), atol=1e-5
        )
    precision = CocoAveragePrecision((64, 64), masks=True)
    result = precision.evaluate(eomt, scenes.take(1))
    assert 0 <= result["mask_AP"] <= 1 and 0 <= result["AP"] <= 1


def test_it_finds_objects_in_pictures_and_is_exported(rng, tmp_path):
    eomt = tiny_eomt()
    pictures = [rng.integers(0, 255, (40, 90), "uint8")[..., None]]
    (found,) = detect(eomt, pictures, score_threshold=0.0)
    assert found["masks"].shape == (6, 40, 90)
    assert found["boxes"].shape == (6, 4)
    if keras.backend.backend() == "tensorflow":
        version = export_detector(eomt, tmp_path / "eomt")
        assert (version / "saved_model.pb").exists()


def test_a_model_that_is_no_vit_is_refused():
    with pytest.raises(ValueError, match="`vit` must be a functional model"):
        build_eomt(3, keras.Sequential([keras.layers.Dense(3)]))
