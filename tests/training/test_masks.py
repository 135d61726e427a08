import keras
import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.layers import MaskEmbeddingHead
from keras_vtr.losses import HungarianLoss
from keras_vtr.models import build_detr
from keras_vtr.training import compile_detr
from tests.tiny_models import color_detr

HEADS = {"hidden_dim": 16, "num_heads": 8}


def names_of(detr):
    return compile_detr(detr, 10)[0].loss.term_names


def test_the_terms_suit_the_mask_head():
    detr = color_detr(masks=True, **HEADS)
    assert names_of(detr)[-2:] == ["mask_loss", "dice_loss"]
    assert [x.weight for x in detr.loss.terms[-2:]] == [1.0, 1.0]
    detr = color_detr(masks=MaskEmbeddingHead(), **HEADS)
    assert names_of(detr)[-2:] == ["mask_loss", "dice_loss"]
    assert [x.cost_weight for x in detr.loss.terms[-2:]] == [5.0, 5.0]
    assert "mask_loss" not in names_of(color_detr())


def test_the_mask_head_alone_is_trained_if_asked():
    scenes = digit_scenes("train", batch_size=4, num_scenes=4, masks=True)
    detr = build_detr(
        10,
        size="small",
        image_shape=(64, 64, 1),
        pixel_mean=0.0,
        pixel_std=255.0,
        num_heads=8,
        masks=True,
    )
    compile_detr(detr, 10, masks_only=True, learning_rate=0.01)
    before = {x.path: np.array(x) for x in detr.variables}
    detr.fit(scenes, epochs=1, verbose=0, shuffle=False)
    changed = {
        x.path.split("/")[0]
        for x in detr.variables
        if not np.array_equal(before[x.path], x)
    }
    assert changed - {"iteration"} == {"mask_head"}
    with pytest.raises(ValueError, match="needs a model with a mask head"):
        compile_detr(color_detr(), 10, masks_only=True)


def test_a_trained_model_with_masks_is_saved_with_its_loss(tmp_path):
    detr = build_detr(
        10, size="modern_small", image_shape=(64, 64, 3), masks=True
    )
    compile_detr(detr, 10)
    detr.optimizer.build(detr.trainable_variables)
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    assert isinstance(again.loss, HungarianLoss)
    assert again.loss.terms[-1].points.num_points == 12544
    assert again.get_layer("mask_head").get_config()["upsampling"] == 1
