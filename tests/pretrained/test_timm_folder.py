"""Repositories of timm on the hub: config.json as timm writes it."""

import json
import math

import numpy as np
import pytest

from keras_vtr.command_line.main import main
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from tests.pretrained import golden_weights

CASES = json.loads(str(np.load(golden_weights.GOLDEN / "timm.npz")["cases"]))
# As of timm/vit_base_patch16_224.augreg_in21k, but for the sizes.
PRETRAINED = {
    "tag": "augreg_in21k",
    "custom_load": False,
    "input_size": [3, 64, 64],
    "fixed_input_size": True,
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "crop_mode": "center",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "num_classes": 5,
    "pool_size": None,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
    "license": "apache-2.0",
}
CONFIG = {
    "architecture": "vit_base_patch16_224",
    "num_classes": 5,
    "num_features": 24,
    "global_pool": "token",
    "model_args": {"num_heads": 3, "img_size": [64, 64], "in_chans": 3},
    "pretrained_cfg": PRETRAINED,
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture
def write(tmp_path):
    """Writes a folder whose config.json differs; returns it."""
    golden_weights.write(tmp_path, CASES["vit"]["shapes"])
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read")

    def write_config(pretrained=None, **config):
        config = {
            **CONFIG,
            "pretrained_cfg": {**PRETRAINED, **(pretrained or {})},
            **config,
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return write_config


@pytest.mark.parametrize(
    "pixels", [{}, IMAGENET], ids=["of AugReg", "of ImageNet"]
)
def test_a_repository_of_the_hub_is_read_whole(
    pixels, write, monkeypatch, capsys
):
    hub = pytest.importorskip("huggingface_hub")
    names = ["a", "b", "c", "d", "e"]
    folder = write(pixels, label_names=names)
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(folder))
    model = from_pretrained("hf://timm/vit_base_patch16_224.augreg_in21k")
    printed = capsys.readouterr().out
    assert "License: apache-2.0 (config.json)." in printed
    assert "assumed" not in printed
    assert model.input_shape == (None, 64, 64, 3)
    assert model.class_names == tuple(names)
    assert model.get_layer("encoder").block.attention.num_heads == 3
    # Its first layer gives what timm's Normalize gives.
    images = golden_weights.random_images((64, 64))
    mean, std = ({**PRETRAINED, **pixels}[x] for x in ("mean", "std"))
    found = model.get_layer("normalize_pixels")(images)
    np.testing.assert_allclose(found, (images / 255 - mean) / std, atol=1e-5)
    if not pixels:
        expected = np.load(golden_weights.GOLDEN / "timm.npz")["vit/0"]
        np.testing.assert_allclose(model(images), expected, atol=1e-4)


def test_older_files_have_all_keys_at_the_top(write, capsys):
    folder = write()
    old = {x: value for x, value in CONFIG.items() if x != "pretrained_cfg"}
    old = {**old, **PRETRAINED, **IMAGENET}
    (folder / "config.json").write_text(json.dumps(old))
    from_pretrained(folder)
    printed = capsys.readouterr().out
    assert "License: apache-2.0 (config.json)." in printed
    assert "assumed" not in printed


@pytest.mark.parametrize(
    ("pretrained", "config", "message"),
    [
        ({"std": None}, {}, r"lacks `pretrained_cfg\.std`"),
        ({"mean": None}, {}, r"lacks `pretrained_cfg\.mean`"),
        ({"std": [0.5, 0.0, 0.5]}, {}, "a number above 0, or a list"),
        ({"mean": [0.5, 0.5]}, {}, "one for each of the 3 channels"),
        ({"mean": [0.5, math.nan, 0.5]}, {}, r"`pretrained_cfg\.mean` must be"),
        ({"label_offset": 1}, {}, r"`pretrained_cfg\.label_offset` must be 0"),
        ({"quantized": True}, {}, r"may change.*`pretrained_cfg\.quantized`"),
        ({}, {"model_args": {"qkv_bias": False}}, "`model_args.qkv_bias` must"),
        (
            {},
            {"model_args": {"mlp_layer": "x"}},
            r"`model_args\.mlp_layer`='x'",
        ),
        ({}, {"label_names": ["a"]}, "`label_names` must be .*a list of 5"),
    ],
)
def test_what_would_change_the_model_is_refused(
    pretrained, config, message, write
):
    with pytest.raises(ValueError, match=message):
        from_pretrained(write(pretrained, **config), verbose=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": None}, "lacks `architecture`, which no tensor shows"),
        ({"global_pool": None}, "lacks `global_pool`, which no tensor shows"),
        ({"model_args": {"rope_type": "mixed"}}, "must be 'dinov3'"),
        ({"model_args": {"rope_temperature": 10}}, "must be 100.0"),
        (
            {"architecture": "vit_small_patch16_dinov3"},
            r"no known weight: \['blocks.0.attn.q_bias'",
        ),
        (
            {"architecture": "vit_medium_patch16_rope_reg1_gap_256"},
            "`architecture` must be the name of a model with build_vit's",
        ),
    ],
)
def test_only_the_architecture_tells_rotary_positions(
    change, message, tmp_path
):
    case = CASES["dinov3_gated"]
    config = {**case["config"], "model_args": {"num_heads": 3}, **change}
    golden_weights.write(tmp_path, case["shapes"], config)
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(tmp_path)


def test_the_license_of_dinov3_is_pointed_out(tmp_path, capsys):
    case = CASES["dinov3"]
    pixels = {**case["config"]["pretrained_cfg"], "license": "dinov3-license"}
    config = {**case["config"], "pretrained_cfg": pixels}
    golden_weights.write(tmp_path, case["shapes"], config)
    from_pretrained(tmp_path, image_shape=(32, 48, 3))
    printed = capsys.readouterr().out
    assert "License: dinov3-license (config.json)." in printed
    assert "The DINOv3 License travels along with these weights" in printed
    assert "no biases in query_projection, key_projection" in printed


def test_a_classifier_is_not_trained_with_boxes(
    write, folder, tmp_path, capsys
):
    arguments = ["train", str(folder), "--output", str(tmp_path / "run")]
    assert main([*arguments, "--model", str(write())]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "must be for detection" in last and "for classification" in last
    assert not (tmp_path / "run" / "config.yaml").exists()
