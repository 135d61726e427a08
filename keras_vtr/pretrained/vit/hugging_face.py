"""transformers' folders: ViT, DeiT, DINOv2 (and registers), ViT-hybrid.

Files have version 4's names, version 5 has others in memory; both are read.
"""

import re

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import find_prefix
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_model_type
from keras_vtr.pretrained.transformers_keys import read_vit_keys
from keras_vtr.pretrained.vit.bit_resnet import read_torch_bit_resnet
from keras_vtr.pretrained.vit.blocks import BlockNames
from keras_vtr.pretrained.vit.blocks import read_blocks
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.vit.name_map import read_tokens

POSITIONS = "position_embeddings"
PATCHES = "embeddings.patch_embeddings.projection"
NAMES_4 = {
    "query_projection": "attention.attention.query",
    "key_projection": "attention.attention.key",
    "value_projection": "attention.attention.value",
    "output_projection": "attention.output.dense",
}
NAMES_5 = {
    "query_projection": "attention.q_proj",
    "key_projection": "attention.k_proj",
    "value_projection": "attention.v_proj",
    "output_projection": "attention.o_proj",
}
# The outputs of a tuple are concatenated.
FEED_FORWARDS = (
    ("intermediate.dense", "output.dense"),  # ViT, version 4
    ("mlp.fc1", "mlp.fc2"),
    ("mlp.weights_in", "mlp.weights_out"),  # SwiGLU, version 4
    (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
)
NORMS = {
    "vit": ("layernorm_before", "layernorm_after"),
    "deit": ("layernorm_before", "layernorm_after"),
    "vit-hybrid": ("layernorm_before", "layernorm_after"),
    "dinov2": ("norm1", "norm2"),
    "dinov2_with_registers": ("norm1", "norm2"),
}
SCALES = ("layer_scale1.lambda1", "layer_scale2.lambda1")
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
}
# Classifiers read the class token without the pooler.
UNUSED = ("embeddings.mask_token", "pooler.dense.weight", "pooler.dense.bias")
HEADS = {
    "classifier": "head",
    "cls_classifier": "head",
    "distillation_classifier": "distillation_head",
}
# Of the names after the prefix.
PARTS = (
    "embeddings.",
    "encoder.layer.",
    "encoder.layers.",
    "layers.",
    "layernorm.",
    "pooler.dense.",
)
# YOLOS and BEiT.
MARKS_OF_OTHERS = (".detection_tokens", ".lambda_1")


def recognize(shapes):
    """All names are those of the ViT, or of heads beside it."""
    prefix = find_prefix(shapes, f"{PATCHES}.weight")
    if prefix is None or f"{prefix}embeddings.{POSITIONS}" not in shapes:
        return False
    return not unknown_names(shapes)


def unknown_names(shapes):
    """Names that no file of the family has."""
    prefix = find_prefix(shapes, f"{PATCHES}.weight") or ""
    inside = tuple(prefix + part for part in PARTS)
    known = (*inside, *(f"{head}." for head in HEADS))
    return [
        name
        for name in shapes
        if not name.startswith(known) or name.endswith(MARKS_OF_OTHERS)
    ]


def read(shapes, config, position_grid=None):
    kind = read_model_type(config, NORMS)
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    read_vit_keys(config)
    prefix = find_prefix(shapes, f"{PATCHES}.weight")
    patches = f"{prefix}{PATCHES}.weight"
    embeddings = f"{prefix}embeddings."
    arguments, weights = read_encoder(shapes, prefix, kind)
    if arguments["activation"] is None:
        arguments["activation"] = activation
    arguments |= {
        "patch_size": shapes[patches][2],
        "hidden_dim": shapes[patches][0],
        "num_heads": config.integer("num_attention_heads", REQUIRED),
        "layer_norm_epsilon": config.number(
            "layer_norm_eps", 1e-6 if kind.startswith("dinov2") else 1e-12
        ),
    }
    weights |= from_tensors.convolution("patches/projection", prefix + PATCHES)
    bit_resnet, backbone_weights = _backbone(shapes, embeddings)
    grid = grid_of_sides(
        config.sides("image_size"), arguments["patch_size"], bit_resnet
    )
    assumed = _add_tokens(
        shapes, embeddings, kind, arguments, weights, (position_grid, grid)
    )
    _add_heads(shapes, prefix, kind, arguments, weights)
    num_classes = arguments["num_classes"]
    arguments["class_names"] = read_class_names(config, num_classes)
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if kind in ("vit", "vit-hybrid"):
        mean = std = 127.5
    pixels, remarks, knows_pixels = name_maps.pixels(config, mean, std)
    arguments |= pixels
    weights |= backbone_weights

    return VitNameMap(
        f"Hugging Face {kind}",
        arguments,
        weights,
        unused=tuple(prefix + name for name in UNUSED),
        remarks=assumed + remarks,
        knows_pixels=knows_pixels,
        bit_resnet=bit_resnet,
    )


def _backbone(shapes, prefix):
    root = f"{prefix}patch_embeddings.backbone.bit."
    if f"{root}embedder.convolution.weight" not in shapes:
        return None, {}
    stem = (f"{root}embedder.convolution", f"{root}embedder.norm")
    unit = root + "encoder.stages.{}.layers.{}."
    return read_torch_bit_resnet(shapes, stem, unit)


def _add_tokens(shapes, prefix, kind, arguments, weights, grids):
    """Adds tokens and positions; returns remarks."""
    names = [prefix + x for x in ("cls_token", "distillation_token")]
    token_arguments, token_weights = read_tokens(
        shapes, names, f"{prefix}register_tokens"
    )
    arguments |= token_arguments
    weights |= token_weights
    positions = prefix + POSITIONS
    weights["positions/position_embedding"] = FromTensors((positions,))
    num_patches = shapes[positions][1] - arguments["num_class_tokens"]
    grid, remarks = name_maps.grid_of_positions((num_patches,), *grids)
    has_antialias = kind == "dinov2_with_registers"
    arguments |= {
        "position_grid": grid,
        "position_interpolation": (
            "bicubic_antialias" if has_antialias else "bicubic"
        ),
    }
    return remarks


def read_encoder(shapes, prefix, kind):
    """Arguments of `build_vit`, and weights, of the blocks and the norm."""
    pattern = rf"({re.escape(prefix)}(?:encoder\.)?layers?)\.0\."
    found = (re.match(pattern, name) for name in shapes)
    stem = next((x.group(1) for x in found if x), f"{prefix}encoder.layer")
    first = f"{stem}.0."
    inner, output = next(
        (
            (inner, output)
            for inner, output in FEED_FORWARDS
            if f"{first}{output}.weight" in shapes
        ),
        FEED_FORWARDS[0],
    )
    is_swiglu = inner[0] == "mlp.gate_proj" or inner == "mlp.weights_in"
    has_scale = first + "layer_scale1.lambda1" in shapes
    names = BlockNames(
        attention=_names_of_attention(shapes, first),
        norms=NORMS[kind],
        inner=inner,
        output=output,
        scales=SCALES if has_scale else (),
    )
    arguments, weights = read_blocks(shapes, stem, names)
    arguments["activation"] = "swiglu" if is_swiglu else None
    weights |= from_tensors.norm("encoder/norm", f"{prefix}layernorm")
    return arguments, weights


def _names_of_attention(shapes, first):
    """Of version 4, of version 5, or of EoMT, which are nearly these."""
    if first + "attention.attention.query.weight" in shapes:
        return NAMES_4
    if first + "attention.out_proj.weight" in shapes:
        return {**NAMES_5, "output_projection": "attention.out_proj"}
    return NAMES_5


def _add_heads(shapes, prefix, kind, arguments, weights):
    arguments |= {"num_classes": 0, "pooling": "class_token"}
    arguments["distilled"] = "distillation_classifier.weight" in shapes
    for theirs, ours in HEADS.items():
        if f"{theirs}.weight" in shapes:
            weights |= from_tensors.dense(ours, theirs)
            arguments["num_classes"] = shapes[f"{theirs}.weight"][0]
    if arguments["num_classes"] and kind.startswith("dinov2"):
        arguments["pooling"] = "class_token_and_mean"
    pooler = f"{prefix}pooler.dense"
    if f"{pooler}.weight" in shapes and not arguments["num_classes"]:
        weights |= from_tensors.dense("representation", pooler)
        arguments["representation_dim"] = shapes[f"{pooler}.weight"][0]
