"""Inputs and arguments that would have no effect are refused."""

import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_convolution_stem
from keras_vtr.losses import HungarianLoss
from keras_vtr.models import SequenceModel
from keras_vtr.models import StrictModel
from keras_vtr.models import build_vit
from tests.tiny_models import IMAGE_SHAPE
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr


def tiny_vit():
    return build_vit(
        3, size="tiny", image_shape=(16, 16, 3), patch_size=8, num_layers=1
    )


@pytest.fixture(scope="module")
def vit():
    return tiny_vit()


IMAGES = np.zeros((2, 16, 16, 3), "float32")
BOTH = {"images": IMAGES, "padding_mask": np.ones((2, 16, 16), bool)}
UNREAD = r"among \['images'\].*\['images', 'padding_mask'\].*padding="


@pytest.mark.parametrize("name", ["__call__", "predict", "predict_on_batch"])
def test_what_nobody_reads_is_refused(name, vit):
    for inputs in (BOTH, list(BOTH.values())):
        with pytest.raises(ValueError, match=r"Inputs must be among \['images"):
            getattr(vit, name)(inputs)
    with pytest.raises(ValueError, match=UNREAD):
        getattr(vit, name)(BOTH)
    getattr(vit, name)(IMAGES)


def test_training_refuses_it_too(vit):
    vit.compile("sgd", "mse")
    for method in (vit.fit, vit.evaluate):
        with pytest.raises(ValueError, match=UNREAD):
            method(BOTH, np.zeros((2, 3)), verbose=0)


def test_symbols_and_backbones_are_no_exception(vit):
    images = keras.Input((16, 16, 3), name="images")
    mask = keras.Input((16, 16), dtype="bool", name="padding_mask")
    for model in (vit, build_convolution_stem((16, 16, 3))):
        with pytest.raises(ValueError, match=UNREAD):
            model({"images": images, "padding_mask": mask})


def test_a_model_of_several_inputs_reads_those_and_no_others():
    one, two = (keras.Input((3,), name=x, dtype="int32") for x in ("a", "b"))
    table = keras.layers.Embedding(5, 4, name="embedding")
    model = SequenceModel({"a": one, "b": two}, table(one) + table(two))
    tokens = {name: np.ones((2, 3), "int32") for name in "abc"}
    with pytest.raises(ValueError, match=r"\['a', 'b'\].*Leave \['c'\] out"):
        model.predict(tokens, verbose=0)
    with pytest.raises(ValueError, match="`class_weight` must be None"):
        model.fit(tokens, tokens["a"], class_weight={0: 1.0})


def test_a_model_is_still_strict_when_it_was_saved_or_cloned(vit, tmp_path):
    vit.save(tmp_path / "vit.keras")
    loaded = keras.models.load_model(tmp_path / "vit.keras")
    for model in (loaded, keras.models.clone_model(vit)):
        assert isinstance(model, StrictModel)
        with pytest.raises(ValueError, match=UNREAD):
            model.predict(BOTH, verbose=0)
    np.testing.assert_array_equal(loaded(IMAGES), vit(IMAGES))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_weights": 0.5}, "weights of its own: .*'giou_loss': 2.0"),
        ({"loss_weights": {"logits": 0.0}}, "box_loss.*Received: loss_weig"),
        ({"metrics": ["mse"]}, "`metrics` must not.*CocoAveragePrecision"),
        ({"weighted_metrics": {"boxes": "mse"}}, "`weighted_metrics` must not"),
    ],
)
def test_what_compile_would_ignore_is_refused(arguments, message, rng):
    model = tiny_detr()
    model.compile("sgd", HungarianLoss(), **arguments)
    with pytest.raises(ValueError, match=message):
        model.evaluate(*batch(rng), verbose=0)


def test_a_detector_without_padding_names_it(rng):
    images, _ = batch(rng)
    mask = np.ones((len(images), *IMAGE_SHAPE[:2]), bool)
    with pytest.raises(ValueError, match='padding="exact"'):
        tiny_detr()({"images": images, "padding_mask": mask})
