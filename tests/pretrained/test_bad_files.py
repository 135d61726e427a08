"""Broken, unsafe and unknown files are refused; errors name the tensor."""

import json
import os
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.readers import open_tensors
from tests.pretrained import golden_weights

GOLDEN = np.load(golden_weights.GOLDEN / "timm.npz")
CASES = json.loads(str(GOLDEN["cases"]))


@pytest.fixture
def folder(tmp_path):
    return golden_weights.write(tmp_path, **CASES["vit"])


@pytest.fixture
def weights():
    return golden_weights.random_weights(
        {k: tuple(v) for k, v in CASES["vit"]["shapes"].items()}
    )


@pytest.fixture
def archive(tmp_path):
    case = CASES["google_vit"]
    return golden_weights.write(tmp_path, case["shapes"], as_npz=True)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth", ".bin"])
def test_a_pickle_never_runs(tmp_path, suffix):
    if suffix in (".pth", ".bin"):
        pytest.importorskip("torch")
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps({"patch_embed": Bomb(tmp_path / "ran")}))
    with pytest.raises(PretrainedError, match=f"model{suffix}"):
        from_pretrained(path)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_within_an_npz_never_runs(tmp_path):
    path = tmp_path / "model.npz"
    objects = np.array([Bomb(tmp_path / "ran")], dtype=object)
    np.savez(path, **{"embedding/kernel": objects})
    with pytest.raises(PretrainedError, match=r"embedding/kernel.*object"):
        from_pretrained(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("sixteenth", range(16))
def test_a_truncated_file_is_refused(folder, archive, sixteenth):
    for path in (folder / "model.safetensors", archive):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * sixteenth // 16])
        with pytest.raises(PretrainedError, match=path.name):
            from_pretrained(path)


def test_a_flipped_byte_in_an_npz_is_refused(archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(PretrainedError, match=r"weights\.npz"):
        from_pretrained(archive)


def test_an_archive_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "model.npz"
    np.savez_compressed(path, **{"embedding/kernel": np.zeros((4000, 4000))})
    with pytest.raises(
        PretrainedError, match=r"bytes claim to unpack to 128,000,\d+. Nothing"
    ):
        from_pretrained(path)


def test_a_shape_without_its_values_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999, 9999)}"
    head = head.ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("embedding/kernel.npy", member + b"0" * 40)
    with pytest.raises(PretrainedError, match="'embedding/kernel' is cut off"):
        from_pretrained(path)


def test_a_tensor_of_torch_that_repeats_one_value_is_a_bomb(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    torch.save({"model": {"x": torch.zeros(1).expand(9999, 9999)}}, path)
    with pytest.raises(PretrainedError, match="claim to unpack to 399,920,004"):
        from_pretrained(path)


def test_two_tensors_of_one_name_are_refused(tmp_path, archive):
    path = tmp_path / "model.safetensors"
    entry = '"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = f"{{{entry},{entry}}}".encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(PretrainedError, match="two tensors have the name 'x'"):
        from_pretrained(path)
    with zipfile.ZipFile(archive) as file:
        name = file.namelist()[0]
        content = file.read(name)
    with zipfile.ZipFile(archive, "a") as file:
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr(name, content)
    with pytest.raises(PretrainedError, match="two tensors have the name"):
        from_pretrained(archive)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_must_be_finite(folder, weights, value):
    weights["blocks.1.attn.proj.weight"][3, 4] = value
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        PretrainedError,
        match=r"model.safetensors: the tensor 'blocks.1.attn.proj.weight' "
        "holds NaN or infinity, 1 of 576 values",
    ):
        from_pretrained(folder)


def test_values_must_be_floating_point(folder, weights):
    weights["norm.bias"] = weights["norm.bias"].astype("int32")
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(PretrainedError, match=r"'norm.bias' has the dtype I32"):
        from_pretrained(folder)


def test_a_missing_tensor_is_named(folder, weights):
    del weights["blocks.1.mlp.fc2.bias"]
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        PretrainedError, match=r"and lacks: \['blocks.1.mlp.fc2.bias'\]"
    ):
        from_pretrained(folder)
    del weights["blocks.0.mlp.fc1.weight"]
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        PretrainedError, match=r"lacks .blocks\.0\.mlp\.fc1\.weight"
    ):
        from_pretrained(folder)


def test_an_unexpected_tensor_is_named(folder, weights):
    weights["norm_pre.weight"] = np.ones(24, "float32")
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        PretrainedError, match=r"no known weight: \['norm_pre.weight'\]"
    ):
        from_pretrained(folder)


def test_a_tensor_of_another_shape_is_named(folder, weights):
    weights["blocks.1.norm2.weight"] = np.ones(23, "float32")
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        PretrainedError,
        match=r"blocks.1.norm2.weight makes a weight of shape \(23,\); the "
        r"model's encoder/block_1/feed_forward/norm/gamma has \(24,\)",
    ):
        from_pretrained(folder)


def test_a_grid_of_positions_that_is_no_square_must_be_given(folder, weights):
    table = np.zeros((1, 1 + 15, 24), "float32")
    weights["pos_embed"] = table
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    model = from_pretrained(folder, position_grid=(3, 5), verbose=False)
    assert model.input_shape == (None, 48, 80, 3)
    weights["pos_embed"] = np.zeros((1, 1 + 14, 24), "float32")
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    with pytest.raises(PretrainedError, match=r"Give `position_grid=\(rows"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_args": {"num_heads": 3, "rope": True}},
            r"may change.*: `model_args\.rope`=True",
        ),
        ({"model_args": {"act_layer": "quick_gelu"}}, "act_layer='quick_gelu'"),
        ({"global_pool": "map"}, "global_pool='map'"),
        ({"pretrained_cfg": {"mean": "3"}}, r"`pretrained_cfg\.mean` must be"),
        ({"model_args": ["num_heads"]}, "`model_args` must be a dict"),
        ({"architecture": "vit_base_patch16_rpn_224"}, "`architecture` must"),
        ({"model_args": {"num_heads": "3"}}, r"`model_args\.num_heads` must"),
        ({"model_args": {"norm_layer": "rmsnorm"}}, "must be 'layernorm'"),
        ({"model_args": {"fc_norm": True}}, r"fc_norm` must be False"),
        ({"model_args": {"global_pool": "avg"}}, "must be as in model_args"),
        ({"model_args": {"img_size": 96}}, "makes 6 x 6 patches; the file"),
    ],
)
def test_a_config_of_timm_with_unknown_settings_is_refused(
    folder, change, message
):
    config = CASES["vit"]["config"] | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "swin"},
            r"`model_type` must be one of \['deit'.*model_type='swin'",
        ),
        ({"hidden_act": "mish"}, "hidden_act='mish'"),
        ({"qkv_bias": False}, "`qkv_bias` must be True.*qkv_bias=False"),
        ({"rope_theta": 100.0}, "may change.*: `rope_theta`=100.0"),
        ({"layer_norm_eps": "1e-6"}, "`layer_norm_eps` must be a number"),
        ({"num_attention_heads": None}, "lacks `num_attention_heads`"),
        (
            {"backbone_config": {"layer_type": "bottleneck"}},
            "lacks `backbone_config.global_padding`",
        ),
        (
            {"backbone_config": {"layer_type": "preactivation"}},
            "layer_type='preactivation'",
        ),
    ],
)
def test_a_config_of_transformers_with_unknown_settings_is_refused(
    tmp_path, change, message
):
    golden = np.load(golden_weights.GOLDEN / "vit_hybrid.npz")
    shapes, config = (json.loads(str(golden[k])) for k in ("shapes", "config"))
    golden_weights.write(tmp_path, shapes, config | change)
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(tmp_path)


def test_a_resolution_that_patches_dont_divide_names_the_nearest(folder):
    with pytest.raises(ValueError, match="nearest size that fits is 96 x 64"):
        from_pretrained(folder, image_shape=(100, 65, 3))


def test_other_files_and_paths_are_refused(tmp_path):
    with pytest.raises(PretrainedError, match="doesn't exist"):
        from_pretrained(tmp_path / "nothing")
    with pytest.raises(PretrainedError, match=r"must hold model.safetensors"):
        from_pretrained(tmp_path)
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(PretrainedError, match="is neither a safetensors file"):
        from_pretrained(path)
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"x": np.ones(3, "float32")}, path)
    with pytest.raises(PretrainedError, match="holds no model that is known"):
        from_pretrained(path)
    with pytest.raises(PretrainedError, match="`revision` is for paths"):
        from_pretrained(path, revision="main")


def test_a_broken_config_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(PretrainedError, match=r"config\.json is no JSON"):
        from_pretrained(folder)


def test_torch_must_be_installed_and_new_enough(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    path.write_bytes(b"PK\x03\x04")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PretrainedError, match=r"pip install 'torch>=2\.10'"):
        open_tensors(path)

    class OldTorch:
        __version__ = "2.9.1+cpu"

    monkeypatch.setitem(sys.modules, "torch", OldTorch)
    with pytest.raises(PretrainedError, match=r"torch 2\.9\.1\+cpu has a kno"):
        open_tensors(path)


def test_torch_files_give_the_same_weights(tmp_path, weights):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    state = {name: torch.tensor(value) for name, value in weights.items()}
    torch.save({"model": state, "epoch": 3}, path)
    file = open_tensors(path)
    assert file.shapes.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(file.read(name), value)
