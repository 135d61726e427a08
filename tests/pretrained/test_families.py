"""Families that a user adds, and messages about errors in them."""

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_vtr import pretrained
from keras_vtr.pretrained import families


class Line:
    """A model of one dense layer, as torch's `Linear` has it."""

    def recognize(self, shapes):
        return "line.weight" in shapes

    def read(self, shapes, config, position_grid=None):
        num_classes, width = shapes["line.weight"]
        arguments = {"width": width, "num_classes": num_classes}
        return pretrained.NameMap(
            "Line",
            arguments,
            pretrained.dense("line", "line"),
            unused=("steps",),
            builder=build_line,
        )


def build_line(width, num_classes):
    x = keras.Input((width,))
    return keras.Model(x, keras.layers.Dense(num_classes, name="line")(x))


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(families, "FAMILIES", [*families.FAMILIES])
    tensors = {
        "line.weight": rng.normal(size=(3, 5)).astype("float32"),
        "line.bias": np.arange(3, dtype="float32"),
        "steps": np.ones(1, "float32"),
    }
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


def test_a_user_s_own_model_is_built_and_filled(folder, capsys):
    assert pretrained.register(Line()) is families.FAMILIES[0]
    model = pretrained.from_pretrained(folder)
    kernel, bias = model.get_weights()
    assert kernel.shape == (5, 3) and bias.tolist() == [0, 1, 2]
    assert "(Line): 2 weights loaded" in capsys.readouterr().out
    other = build_line(5, 3)
    pretrained.load_weights(other, folder)
    np.testing.assert_array_equal(other.get_weights()[0], kernel)


def test_the_family_added_last_is_tried_first(folder):
    first, second = Line(), Line()
    pretrained.register(first)
    pretrained.register(second)
    pretrained.register(first)
    pretrained.register(second)
    assert families.FAMILIES[:2] == [second, first]
    assert families.family_of({"line.weight": (3, 5)}) is second


@pytest.mark.parametrize("family", [None, "timm", build_line, object(), Line])
def test_an_object_without_the_functions_is_refused(family):
    with pytest.raises(ValueError, match="must have a function 'recognize'"):
        pretrained.register(family)


def read_other(self, shapes, config, position_grid=None):
    return {"line/kernel": "line.weight"}


def read_missing(self, shapes, config, position_grid=None):
    return shapes["line.gamma"]


def read_without_builder(self, shapes, config, position_grid=None):
    weights = pretrained.dense("line", "line")
    return pretrained.NameMap("Line", {}, weights, unused=("steps",))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (read_other, "must return a NameMap. Received: .*from Line"),
        (read_missing, r"lacks 'line.gamma', which every file of its kind \(L"),
        (read_without_builder, "fills models .*its NameMap has no `builder`"),
    ],
)
def test_errors_of_a_family_s_read_are_explained(
    read, message, folder, monkeypatch
):
    monkeypatch.setattr(Line, "read", read)
    pretrained.register(Line())
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.from_pretrained(folder)
