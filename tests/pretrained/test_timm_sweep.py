"""Each of timm's models is computed as in timm, or refused.

`tests/golden/timm_sweep.json.xz` has every ViT and ResNet of timm's, and
families whose tensors have names like theirs: shapes, config.json, modules.
"""

import json
import lzma
import pathlib

import pytest

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained.configuration import Configuration
from keras_vtr.pretrained.families import family_of
from keras_vtr.pretrained.vit.dinov3 import LICENSE_REMARK
from keras_vtr.pretrained.vit.timm.architectures import ARCHITECTURES
from tests.pretrained.golden_weights import GOLDEN

SWEEP = json.loads(lzma.open(GOLDEN / "timm_sweep.json.xz").read())
# Kinds of modules that a ViT of ours has a layer for, or that do nothing in
# inference. Hybrids have those of their backbone too.
VIT = {
    "VisionTransformer", "VisionTransformerDistilled", "PatchEmbed", "Block",
    "Attention", "Mlp", "GluMlp", "LayerNorm", "LayerScale", "Linear", "Conv2d",
    "GELU", "GELUTanh", "SiLU", "Sequential", "Dropout", "Identity",
}  # fmt: skip
EVA = {
    "Eva", "PatchEmbed", "EvaBlock", "EvaAttention", "Mlp", "SwiGLU",
    "LayerNorm", "Linear", "Conv2d", "GELU", "SiLU", "RotaryEmbeddingDinoV3",
    "ModuleList", "Dropout", "Identity",
}  # fmt: skip
HYBRID = {
    "HybridEmbed", "ResNetV2", "ResNetStage", "Bottleneck", "DownsampleConv",
    "StdConv2dSame", "GroupNormAct", "MaxPool2dSame", "ReLU", "ClassifierHead",
    "SelectAdaptivePool2d",
}  # fmt: skip
RESNET = {
    "ResNet", "Bottleneck", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d",
    "Linear", "SelectAdaptivePool2d", "AdaptiveAvgPool2d", "Flatten",
    "Sequential", "Identity",
}  # fmt: skip
ACTIVATIONS = {
    "GELU": "gelu",
    "GELUTanh": "gelu_tanh",
    "GluMlp": "swiglu",
    "SwiGLU": "swiglu",
}
POOLINGS = {"token": "class_token", "avg": "mean"}


def read(name, config=None):
    """What we would build, or None if it is refused."""
    entry = SWEEP[name]
    shapes = {
        key: tuple(shape)
        for key, shape in entry["shapes"].items()
        if not key.endswith("num_batches_tracked")
    }
    content = entry["config"] if config is None else config
    place = pathlib.Path("config.json")
    empty = Configuration({}, place)
    config = Configuration(content, place, preprocessor=empty, training=empty)
    family = family_of(shapes)
    if family is None:
        return None
    try:
        found = family.read(shapes, config)
        config.finish()
    except (PretrainedError, KeyError):
        return None
    known = {x for origin in found.weights.values() for x in origin.names}
    return found if shapes.keys() - set(found.unused) == known else None


def modules(name):
    """Kind of module: list of (attributes, paths)."""
    kinds = {}
    for kind, *values, paths in SWEEP[name]["modules"]:
        kinds.setdefault(kind, []).append((values, paths))
    return kinds


def only(kinds, kind):
    """The attributes that all modules of a kind have."""
    ((values, _),) = kinds[kind]
    return values


ACCEPTED = {name: found for name in SWEEP if (found := read(name))}


def test_the_known_names_are_the_accepted_ones():
    vits = {name for name, x in ACCEPTED.items() if x.family == "timm"}
    assert vits == set(ARCHITECTURES)
    assert len(vits) == 102


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_vit_is_what_timm_builds(name):
    kinds, found = modules(name), ACCEPTED[name]
    arguments = found.arguments
    if "Eva" in kinds:
        check_dinov3(kinds, arguments)
    else:
        check_vision_transformer(kinds, found)
    assert only(kinds, "LayerNorm") == [arguments["layer_norm_epsilon"]]
    acts = [ACTIVATIONS[x] for x in kinds if x in ACTIVATIONS]
    assert acts == [arguments["activation"]]
    grid = only(kinds, "HybridEmbed" if found.bit_resnet else "PatchEmbed")[0]
    assert arguments["position_grid"] == tuple(grid)
    pixels = SWEEP[name]["config"]["pretrained_cfg"]
    for key in ("mean", "std"):
        expected = tuple(255.0 * x for x in pixels[key])
        assert arguments[f"pixel_{key}"] == expected
    has_license = pixels.get("license") == "dinov3-license"
    remarks = [x for x in found.remarks if "no biases" not in x]
    assert remarks == [LICENSE_REMARK] * has_license


def check_vision_transformer(kinds, found):
    arguments = found.arguments
    is_hybrid = "HybridEmbed" in kinds
    assert set(kinds) <= VIT | (HYBRID if is_hybrid else set())
    num_heads, scale = only(kinds, "Attention")
    assert arguments["num_heads"] == num_heads
    assert scale == (arguments["hidden_dim"] / num_heads) ** -0.5
    model = next(x for x in kinds if x.startswith("VisionTransformer"))
    pooling, num_prefix, num_registers, has_class, _, with_prefix = only(
        kinds, model
    )
    assert arguments["pooling"] == POOLINGS[pooling]
    assert not (with_prefix and pooling == "avg")
    assert arguments["num_register_tokens"] == num_registers
    assert arguments["num_class_tokens"] == num_prefix - num_registers
    assert bool(arguments["num_class_tokens"]) == has_class
    assert (arguments["layer_scale"] is not None) == ("LayerScale" in kinds)
    assert bool(found.bit_resnet) == is_hybrid
    if is_hybrid:
        check_backbone(kinds, found.bit_resnet)


def check_dinov3(kinds, arguments):
    assert set(kinds) <= EVA
    num_heads, scale, rotates_half = only(kinds, "EvaAttention")
    assert arguments["num_heads"] == num_heads and rotates_half
    assert scale == (arguments["hidden_dim"] / num_heads) ** -0.5
    pooling, num_prefix = only(kinds, "Eva")
    assert arguments["pooling"] == POOLINGS[pooling]
    rule = arguments["position_rule"]
    assert arguments["position"] == "rotary"
    assert rule.num_leading_tokens == num_prefix == 5
    expected = [rule.base, None, "separate", 0.0, "ij", True]
    assert only(kinds, "RotaryEmbeddingDinoV3") == expected


def check_backbone(kinds, arguments):
    assert only(kinds, "GroupNormAct") == [arguments["group_norm_epsilon"], 32]
    assert only(kinds, "MaxPool2dSame") == [[3, 3], [2, 2], False]
    for (stride, dilation, groups, epsilon, same), paths in kinds[
        "StdConv2dSame"
    ]:
        assert (dilation, groups) == ([1, 1], 1)
        assert same == (stride != [1, 1])  # else both pad alike
        assert epsilon == arguments["standardization_epsilon"]
        for path in paths:
            _, _, rest = path.partition("stages.")
            halves = not rest or (
                rest[0] != "0"
                and ".blocks.0." in path
                and path.endswith(("conv2", "downsample.conv"))
            )
            assert stride == [1 + halves] * 2, path


@pytest.mark.parametrize(
    "name", [name for name, x in ACCEPTED.items() if x.family != "timm"]
)
def test_a_resnet_is_what_timm_builds(name):
    kinds = modules(name)
    is_basic = "BasicBlock" in kinds
    assert set(kinds) - {"BasicBlock"} <= RESNET
    strided = "conv1" if is_basic else "conv2"
    assert only(kinds, "BatchNorm2d") == [1e-5]
    assert only(kinds, "MaxPool2d") == [3, 2, 1, False]
    for (stride, padding, dilation, groups), paths in kinds["Conv2d"]:
        assert (dilation, groups) == ([1, 1], 1)
        for path in paths:
            kernel = SWEEP[name]["shapes"][f"{path}.weight"][2:]
            assert padding == [kernel[0] // 2] * 2
            halves = path == "conv1" or (
                not path.startswith("layer1")
                and ".0." in path
                and path.endswith((strided, "downsample.0"))
            )
            assert stride == [1 + halves] * 2, path


@pytest.mark.parametrize("name", ["vit_base_patch16_gap_224"])
def test_assumed_settings_are_remarks(name):
    known = ACCEPTED[name].arguments
    assumed = read(name, {})
    assert assumed.arguments["num_heads"] == 12 != known["num_heads"] == 16
    remarks = " ".join(assumed.remarks)
    for words in ("pixel_mean=127.5", "assumed 14 x 14", "num_heads=12"):
        assert words in remarks
