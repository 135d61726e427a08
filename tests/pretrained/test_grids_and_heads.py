"""The grid of positions, and the layer before a head."""

import json
import re

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.models import build_vit
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.pretrained import golden_weights

TINY = {
    "hidden_dim": 24,
    "num_layers": 1,
    "num_heads": 3,
    "mlp_dim": 48,
    "layer_norm_epsilon": 1e-12,
}
VIT = {"model_type": "vit", "num_attention_heads": 3}
BLOCK = {"attn.qkv": (72, 24), "attn.proj": (24, 24)}
WIDE = np.random.RandomState(1).uniform(0, 255, (1, 32, 128, 3))
WIDE = WIDE.astype("float32")


def tensors(dense, norms, others):
    shapes = {f"{name}.weight": shape for name, shape in dense.items()}
    shapes |= {f"{name}.bias": (shape[0],) for name, shape in dense.items()}
    for name in norms:
        shapes |= {f"{name}.weight": (24,), f"{name}.bias": (24,)}
    return shapes | others


def write_transformers(folder, num_patches=16, num_classes=3, **config):
    """A tiny ViT as transformers 4 saves it; without classes with a pooler."""
    prefix = "vit." if num_classes else ""
    block, names = f"{prefix}encoder.layer.0.", ("query", "key", "value")
    dense = {f"{block}attention.attention.{x}": (24, 24) for x in names}
    dense |= {
        f"{block}attention.output.dense": (24, 24),
        f"{block}intermediate.dense": (48, 24),
        f"{block}output.dense": (24, 48),
        f"{prefix}embeddings.patch_embeddings.projection": (24, 3, 16, 16),
    }
    head = {"classifier": (num_classes, 24)}
    dense |= head if num_classes else {"pooler.dense": (24, 24)}
    norms = (f"{block}layernorm_before", f"{block}layernorm_after")
    others = {
        f"{prefix}embeddings.cls_token": (1, 1, 24),
        f"{prefix}embeddings.position_embeddings": (1, 1 + num_patches, 24),
    }
    shapes = tensors(dense, (*norms, f"{prefix}layernorm"), others)
    return golden_weights.write(folder, shapes, VIT | config)


def write_timm(folder, others=(), inner="fc1", output="fc2", scale=False):
    """A tiny ViT in timm's names, or in those of DINOv2's authors."""
    width = 48 if inner == "fc1" else 96
    dense = {"patch_embed.proj": (24, 3, 16, 16)}
    block = {**BLOCK, f"mlp.{inner}": (width, 24), f"mlp.{output}": (24, 48)}
    dense |= {f"blocks.0.{name}": shape for name, shape in block.items()}
    norms = ("blocks.0.norm1", "blocks.0.norm2", "norm")
    tokens = {"cls_token": (1, 1, 24), "pos_embed": (1, 17, 24)}
    shapes = tensors(dense, norms, tokens | dict(others))
    if scale:
        shapes |= {f"blocks.0.ls{i}.gamma": (24,) for i in (1, 2)}
    return golden_weights.write(folder, shapes)


def test_a_grid_of_as_many_positions_is_another_grid(tmp_path):
    write_transformers(tmp_path, image_size=64)
    fixed = from_pretrained(tmp_path, image_shape=(32, 128, 3))
    free = from_pretrained(tmp_path, image_shape=(None, None, 3))
    np.testing.assert_allclose(fixed(WIDE), free(WIDE), atol=1e-5)
    model = build_vit(
        3,
        **TINY,
        image_shape=(32, 128, 3),
        position_interpolation="bicubic",
    )
    report = load_weights(model, tmp_path)
    assert "resized from 4 x 4 to 2 x 8 (bicubic)." in report.remarks[-1]
    np.testing.assert_allclose(model(WIDE), free(WIDE), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "grid"),
    [([32, 128], (2, 8)), (64, (4, 4)), ({"height": 128, "width": 32}, (8, 2))],
)
def test_the_configuration_tells_the_grid(tmp_path, size, grid):
    write_transformers(tmp_path, image_size=size)
    model = from_pretrained(tmp_path, verbose=False)
    assert model.input_shape == (None, 16 * grid[0], 16 * grid[1], 3)
    free = from_pretrained(tmp_path, image_shape=(None, None, 3), verbose=False)
    images = np.resize(WIDE, (1, *model.input_shape[1:]))
    np.testing.assert_allclose(model(images), free(images), atol=1e-5)


def test_image_size_gives_a_grid_that_is_no_square(tmp_path):
    write_transformers(tmp_path, num_patches=18, image_size=[48, 96])
    assert from_pretrained(tmp_path).input_shape == (None, 48, 96, 3)
    for given, message in (
        ((4, 4), "`position_grid` makes 4 x 4 patches; the file has pos"),
        (18, "`position_grid` must be (rows, columns)"),
    ):
        with pytest.raises(PretrainedError, match=re.escape(message)):
            from_pretrained(tmp_path, position_grid=given)


def test_a_new_head_reads_the_class_token(tmp_path, capsys):
    write_transformers(tmp_path, num_classes=0, image_size=64)
    model = from_pretrained(tmp_path, num_classes=3)
    assert "Left in the file: pooler.dense" in capsys.readouterr().out
    assert [x.name for x in model.layers][-2:] == ["pooling", "head"]
    kept = from_pretrained(tmp_path, num_classes=3, representation_dim=24)
    stored = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        kept.get_layer("representation").kernel,
        stored["pooler.dense.weight"].T,
    )
    wider = from_pretrained(tmp_path, num_classes=3, representation_dim=5)
    assert np.abs(wider.get_layer("representation").kernel).max() > 0
    bare = from_pretrained(tmp_path, representation_dim=None, verbose=False)
    assert bare.layers[-1].name == "pooling"
    for classes, new_head in ((3, True), (0, False)):
        model = build_vit(classes, **TINY, image_shape=(64, 64, 3))
        report = load_weights(model, tmp_path, new_head=new_head)
        assert "pooler.dense.weight" in report.unexpected


def test_a_loaded_head_needs_the_layer_before_it(tmp_path):
    cases = json.loads(
        str(np.load(golden_weights.GOLDEN / "timm.npz")["cases"])
    )
    shapes = cases["google_vit"]["shapes"]
    shapes |= {"pre_logits/kernel": (24, 24), "pre_logits/bias": (24,)}
    path = golden_weights.write(tmp_path, shapes, as_npz=True)
    with pytest.raises(PretrainedError, match="`representation_dim` must be"):
        from_pretrained(path, representation_dim=None)
    tiny = TINY | {"num_layers": 2, "mlp_dim": 96, "layer_norm_epsilon": 1e-6}
    model = build_vit(5, **tiny, image_shape=(64, 64, 3))
    with pytest.raises(PretrainedError, match=r"only the file has.*represent"):
        load_weights(model, path)
    load_weights(model, path, new_head=True)


@pytest.mark.parametrize(
    ("others", "names", "activation"),
    [
        ({}, {}, "gelu"),
        (
            {"register_tokens": (1, 4, 24)},
            {"inner": "w12", "output": "w3"},
            "swiglu",
        ),
    ],
)
def test_the_files_of_dinov2_s_authors_are_read(
    tmp_path, others, names, activation
):
    others = others | {"mask_token": (1, 24)}
    write_timm(tmp_path, others, scale=True, **names)
    model = from_pretrained(tmp_path, num_heads=3, verbose=False)
    block = model.get_layer("encoder").block
    assert block.feed_forward.activation == activation
    report = load_weights(model, tmp_path)
    assert report.unexpected == ("mask_token",)
    assert "mask_token was left out" in " ".join(report.remarks)
    assert "layer_norm_epsilon=1e-06" in " ".join(report.remarks)


@pytest.mark.parametrize(
    "arguments",
    [
        {"fc_norm": False},
        {"fc_norm": None, "qkv_bias": True, "pre_norm": False},
        {"final_norm": True, "weight_init": "", "drop_rate": 0.1},
        {"dynamic_img_pad": False, "dynamic_img_size": True},
    ],
)
def test_arguments_without_effect_are_accepted(tmp_path, arguments):
    write_timm(tmp_path)
    content = {"architecture": "vit_tiny_patch16_224", "model_args": arguments}
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = from_pretrained(tmp_path, verbose=False)
    assert model.get_layer("encoder").block.attention.num_heads == 3


def test_the_name_of_another_model_is_refused(tmp_path):
    write_timm(tmp_path)
    content = {"architecture": "vit_base_patch16_clip_quickgelu_224"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = build_vit(0, **TINY, image_shape=(64, 64, 3))
    before = keras.ops.convert_to_numpy(model.weights[0])
    with pytest.raises(PretrainedError, match="`architecture` must be"):
        load_weights(model, tmp_path)
    np.testing.assert_array_equal(model.weights[0], before)
