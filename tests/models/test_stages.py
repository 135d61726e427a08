"""The tables of `keras_vtr.stages` name the layers that our models have."""

import keras
import pytest

from keras_vtr import stages
from keras_vtr.models import build_transformer
from keras_vtr.models import build_yolos
from tests.tiny_models import color_detr
from tests.tiny_models import tiny_vit


def names_of(table):
    return [name for key, name in vars(table).items() if key.isupper()]


CASES = {
    "vit": (
        stages.ViT,
        lambda: tiny_vit(
            num_register_tokens=1,
            distilled=True,
            input_norm=keras.layers.LayerNormalization(),
            representation_dim=4,
        ),
        set(),
    ),
    "detr": (
        stages.DETR,
        lambda: color_detr(
            padding="published",
            queries="selected",
            masks=True,
            hidden_dim=16,
            num_heads=8,
        ),
        # A decoder of boxes has the heads of boxes within.
        {f"box_head_{i}" for i in range(3)},
    ),
    "detr with learned queries": (
        stages.DETR,
        color_detr,
        {
            "padding_mask",
            "real_tokens",
            "centers",
            "query_selection",
            "mask_head",
            "masks",
        },
    ),
    "yolos": (
        stages.YOLOS,
        lambda: build_yolos(3, tiny_vit(), padding="exact"),
        set(),
    ),
    "transformer": (
        stages.Transformer,
        lambda: build_transformer(
            9, hidden_dim=8, num_layers=1, num_heads=2, mlp_dim=8
        ),
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_stage_is_a_layer_of_that_name(case):
    table, build, absent = CASES[case]
    layers = {layer.name for layer in build().layers}
    assert set(names_of(table)) - layers == absent
    assert len(set(names_of(table))) == len(names_of(table))


def test_a_stage_is_a_plain_text_for_whoever_prints_it():
    vit = tiny_vit()
    assert {type(layer.name) for layer in vit.layers} == {str}
    assert isinstance(vit.get_layer(stages.ViT.PATCHES), keras.layers.Layer)
