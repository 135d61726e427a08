"""Weights in several safetensors files, whole, cut off and mixed up."""

import json

import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from tests.pretrained import golden_weights

GOLDEN = np.load(golden_weights.GOLDEN / "timm.npz")
CASES = json.loads(str(GOLDEN["cases"]))
IMAGES = golden_weights.random_images((64, 64))
SHARDS = ("a.safetensors", "b.safetensors")


@pytest.fixture
def folder(tmp_path):
    golden_weights.write(tmp_path, **CASES["vit"])
    weights = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(weights)
    weight_map = {}
    for shard, members in zip(SHARDS, (names[:9], names[9:]), strict=True):
        part = {name: weights[name] for name in members}
        safetensors.numpy.save_file(part, tmp_path / shard)
        weight_map |= dict.fromkeys(members, shard)
    write_index(tmp_path, weight_map)
    return tmp_path


def write_index(folder, weight_map):
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))


def change(path, function):
    weights = safetensors.numpy.load_file(path)
    function(weights)
    safetensors.numpy.save_file(weights, path)


def test_shards_are_read_by_their_index(folder):
    model = from_pretrained(folder, verbose=False)
    np.testing.assert_allclose(model(IMAGES), GOLDEN["vit/0"], atol=1e-4)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../a.safetensors"}, "a file outside of its folder"),
        (None, "has no weight_map"),
        ({"a": 3}, "`weight_map` must be a dict from names of tensors to"),
    ],
)
def test_an_index_of_another_form_is_refused(folder, weight_map, message):
    write_index(folder, weight_map)
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(folder)


def test_a_shard_that_is_missing_is_named(folder):
    (folder / SHARDS[1]).unlink()
    with pytest.raises(
        PretrainedError, match=r"names b.safetensors, which the"
    ):
        from_pretrained(folder)


@pytest.mark.parametrize("eighth", range(8))
def test_a_shard_that_is_cut_off_is_named(folder, eighth):
    path = folder / SHARDS[1]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * eighth // 8])
    with pytest.raises(PretrainedError, match=r"b\.safetensors"):
        from_pretrained(folder)


def test_a_shard_without_a_tensor_of_the_index_is_refused(folder):
    change(folder / SHARDS[1], lambda weights: weights.pop("pos_embed"))
    with pytest.raises(
        PretrainedError, match=r"b.safetensors must hold .*lacks .'pos_embed'"
    ):
        from_pretrained(folder)


def test_a_tensor_in_another_shard_than_the_index_says_is_refused(folder):
    def add(weights):
        weights["pos_embed"] = np.zeros((1, 17, 24), "float32")

    change(folder / SHARDS[0], add)
    with pytest.raises(
        PretrainedError, match=r"a.safetensors must hold .*holds .'pos_embed'"
    ):
        from_pretrained(folder)


def test_nan_in_a_shard_is_named(folder):
    def poison(weights):
        weights["pos_embed"][0, 3, 4] = np.nan

    change(folder / SHARDS[1], poison)
    with pytest.raises(
        PretrainedError,
        match=r"b\.safetensors: the tensor 'pos_embed' holds NaN",
    ):
        from_pretrained(folder)
