"""Weights are found among the other objects that trainings save."""

import argparse
import collections
import datetime
import json
import os
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.files import open_weights
from tests.pretrained import golden_weights

CASE = json.loads(str(np.load(golden_weights.GOLDEN / "timm.npz")["cases"]))[
    "vit"
]
WEIGHTS = golden_weights.random_weights(
    {name: tuple(shape) for name, shape in CASE["shapes"].items()}
)
SMALL = {"layer.weight": np.ones((2, 3), "float32"), "layer.bias": np.ones(2)}


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "model._orig_mod.module."]
)
def test_the_prefix_of_all_names_is_removed(prefix, tmp_path):
    wrapped = {prefix + name: x for name, x in WEIGHTS.items()}
    safetensors.numpy.save_file(wrapped, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CASE["config"]))
    model = from_pretrained(tmp_path, verbose=False)
    np.testing.assert_array_equal(
        model.get_layer("head").kernel, WEIGHTS["head.weight"].T
    )


def test_the_prefix_of_a_compiled_part_is_removed(tmp_path):
    path = tmp_path / "model.safetensors"
    parts = {f"blocks._orig_mod.{name}": x for name, x in SMALL.items()}
    safetensors.numpy.save_file({**parts, "x": np.ones(3)}, path)
    pretrained = open_weights(path)
    assert set(pretrained.shapes) == {
        "blocks.layer.weight",
        "blocks.layer.bias",
        "x",
    }
    np.testing.assert_array_equal(
        pretrained.read("blocks.layer.weight"), SMALL["layer.weight"]
    )


def test_a_prefix_of_some_names_stays_and_the_error_shows_it(tmp_path):
    path = tmp_path / "model.safetensors"
    wrapped = {f"module.{name}": x for name, x in WEIGHTS.items()}
    safetensors.numpy.save_file({**wrapped, "other": np.ones(3)}, path)
    with pytest.raises(PretrainedError, match=r"module\.blocks\.0"):
        from_pretrained(path)
    safetensors.numpy.save_file(
        {f"net.{name}": x for name, x in SMALL.items()}, path
    )
    with pytest.raises(
        PretrainedError,
        match=r"names after 'net\.layer\.' holds no model.*\['bias', 'weight'",
    ):
        from_pretrained(path)


@pytest.fixture
def save(tmp_path):
    torch = pytest.importorskip("torch")

    def tensors(content):
        if isinstance(content, np.ndarray):
            return torch.tensor(content)
        if type(content) is dict:
            return {key: tensors(x) for key, x in content.items()}
        return content

    def write(content, **options):
        path = tmp_path / "model.ckpt"
        torch.save(tensors(content), path, **options)
        return path

    return write


@pytest.mark.parity
@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("model",),
        ("state_dict",),
        ("model_state_dict",),
        ("ema",),
        ("ema_state_dict",),
        ("model_ema", "state_dict"),
        ("ema", "module"),
        ("teacher",),
        ("what_nobody_knows",),
    ],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_are_found_under_keys(keys, is_zip, save):
    content = {f"module.{name}": x for name, x in SMALL.items()}
    content["n_averaged"] = content["module.steps"] = np.array(7)
    for key in reversed(keys):
        content = {
            key: content,
            "epoch": 3,
            "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}},
            "rng_state": np.ones(9, "uint8"),
        }
    # Private in torch 2.13; nothing else writes the format before torch 1.6.
    path = save(content, _use_new_zipfile_serialization=is_zip)
    pretrained = open_weights(path)
    assert pretrained.shapes == {"weight": (2, 3), "bias": (2,)}
    np.testing.assert_array_equal(
        pretrained.read("weight"), SMALL["layer.weight"]
    )
    assert pretrained.remarks == ()
    place = "".join(f"[{key!r}]" for key in keys)
    assert str(pretrained) == f"{path}{place}, names after 'module.layer.'"


@pytest.mark.parity
def test_averaged_weights_are_preferred_and_reported(save):
    other = {name: 2 * x for name, x in SMALL.items()}
    path = save({"model": other, "model_ema": SMALL, "criterion": other})
    pretrained = open_weights(path)
    assert pretrained.read("weight").max() == 1.0
    assert pretrained.remarks == (
        "Of ['model', 'model_ema'] the weights of 'model_ema' were loaded: "
        "averaged ones if there are any.",
    )


@pytest.mark.parity
def test_parameters_are_read_as_tensors(save):
    import torch

    content = {k: torch.nn.Parameter(torch.tensor(x)) for k, x in SMALL.items()}
    assert open_weights(save(content)).read("weight").shape == (2, 3)


@pytest.mark.parity
def test_other_objects_of_trainings_are_read(save):
    args = argparse.Namespace(
        output=pathlib.Path("run"),
        best=np.float64(0.5),
        history=collections.defaultdict(list, loss=[1.0]),
        last=collections.deque([1, 2]),
        began=datetime.datetime(2020, 1, 1),
        counts=collections.OrderedDict(a=collections.Counter("ab")),
    )
    path = save({"model": SMALL, "args": args})
    assert set(open_weights(path).shapes) == {"weight", "bias"}
    import torch

    assert argparse.Namespace not in torch.serialization.get_safe_globals()


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path, function=os.mkdir):
        self.path = path
        self.function = function

    def __reduce__(self):
        return self.function, (str(self.path),)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": SMALL, "b": SMALL}, r"has 2 such dicts: \['a', 'b'\]"),
        ({"epoch": 3}, r"with the keys \['epoch'\], and has 0 such"),
        ([1, 2], r"is a list with the keys \(\)"),
        ({"model": SMALL, "by": Bomb("ran", eval)}, "holds eval, and is read"),
        ({"model": SMALL, "by": Bomb("ran")}, "holds posix.mkdir, and is read"),
    ],
)
def test_a_file_without_one_set_of_weights_is_refused(content, message, save):
    with pytest.raises(PretrainedError, match=message) as caught:
        open_weights(save(content))
    # torch's own text advises `weights_only=False`.
    assert "weights_only" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parity
def test_a_file_without_weights_is_refused_with_our_message(save, tmp_path):
    import torch

    path = save(torch.nn.Linear(2, 3))
    with pytest.raises(PretrainedError, match=r"holds torch\.nn.*load it your"):
        open_weights(path)
    with pytest.raises(PretrainedError, match="'x' is nested, sparse or"):
        open_weights(save({"x": torch.eye(3).to_sparse()}))
    path.write_bytes(b"no pickle")
    with pytest.raises(PretrainedError, match="is damaged, or not written by"):
        open_weights(path)
    with pytest.warns(DeprecationWarning):
        program = torch.jit.trace(torch.nn.Linear(2, 3), torch.ones(1, 2))
        torch.jit.save(program, path)
    with pytest.raises(PretrainedError, match="is a TorchScript program"):
        open_weights(path)
