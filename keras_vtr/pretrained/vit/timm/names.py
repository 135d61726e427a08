"""timm's names: ViT, DeiT, the hybrids, DINOv2 (and registers), DINOv3.

Tensors don't show all settings: heads are joined in `qkv`. config.json has
some of them; the others are those of the papers' models.
"""

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.vit.tokens import rotary_rule
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import first_present
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.vit import lookalikes
from keras_vtr.pretrained.vit.bit_resnet import read_torch_bit_resnet
from keras_vtr.pretrained.vit.dinov3 import LICENSE_REMARK
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.vit.name_map import read_tokens
from keras_vtr.pretrained.vit.timm.blocks import read_encoder
from keras_vtr.pretrained.vit.timm.config import read_settings

DINOV3_LICENSE = "dinov3-license"
NOT_IN_TENSORS = ("num_heads", "activation", "layer_norm_epsilon", "pooling")
HEADS = {  # theirs: ours, and the argument for its width
    "head": ("head", "num_classes"),
    "head_dist": ("distillation_head", "num_classes"),
    "pre_logits.fc": ("representation", "representation_dim"),
}
# timm's name, and the one of DINOv2's authors, who use timm's names otherwise.
REGISTERS = ("reg_token", "register_tokens")


def recognize(shapes):
    is_known = "patch_embed.proj.weight" in shapes
    return is_known and not lookalikes.recognize(shapes)


def read(shapes, config, position_grid=None):
    settings = read_settings(config, "blocks.0.gamma_1" in shapes)
    kernel_shape = shapes["patch_embed.proj.weight"]
    weights = from_tensors.convolution("patches/projection", "patch_embed.proj")
    registers = first_present(shapes, REGISTERS, "")
    tokens, token_weights = read_tokens(
        shapes, ("cls_token", "dist_token"), registers
    )
    arguments, encoder_weights, assumed = read_encoder(shapes, settings)
    arguments |= tokens | {
        "patch_size": kernel_shape[2],
        "hidden_dim": kernel_shape[0],
        "pooling": _pooling(shapes, settings, tokens["num_class_tokens"]),
        "num_classes": 0,
        "distilled": "head_dist.weight" in shapes,
    }
    for theirs, (ours, key) in HEADS.items():
        if f"{theirs}.weight" in shapes:
            weights |= from_tensors.dense(ours, theirs)
            arguments[key] = shapes[f"{theirs}.weight"][0]
    is_labeled = "label_names" in config
    arguments["class_names"] = read_class_names(
        config if is_labeled else config.part("pretrained_cfg"),
        arguments["num_classes"],
        "label_names",
    )
    bit_resnet, backbone_weights = _backbone(shapes)
    weights |= token_weights | encoder_weights | backbone_weights
    pixels, remarks = _pixels(shapes, settings)
    arguments |= pixels
    grid = grid_of_sides(settings["sides"], kernel_shape[2], bit_resnet)
    add_positions = _add_rotation if settings["rotary"] else _add_positions
    assumed += add_positions(shapes, arguments, weights, (position_grid, grid))
    unused = tuple(x for x in ("mask_token",) if x in shapes)
    assumed += _remarks(arguments, settings, unused)
    return VitNameMap(
        "timm",
        arguments,
        weights,
        unused=unused,
        remarks=remarks + assumed,
        knows_pixels=not remarks,
        bit_resnet=bit_resnet,
    )


def _remarks(arguments, settings, unused):
    remarks = ()
    if not settings["has_architecture"]:
        assumed = ", ".join(
            f"{key}={arguments[key]!r}"
            for key in NOT_IN_TENSORS
            if arguments[key]
        )
        remarks += (
            f"No file has timm's name of the architecture; assumed {assumed}.",
        )
    if unused:
        remarks += ("mask_token was left out; only pre-training uses it.",)
    if settings["license"] == DINOV3_LICENSE:
        remarks += (LICENSE_REMARK,)
    return remarks


def _add_positions(shapes, arguments, weights, grids):
    """Adds positions, of patches only or of class tokens too; returns remarks.

    Args:
        grids: The user's and the configuration's.
    """
    if "pos_embed" not in shapes:
        arguments["position"] = "none"
        return ()
    length = shapes["pos_embed"][1]
    num_class_tokens = arguments["num_class_tokens"]
    counts = (length - num_class_tokens, length)
    grid, remarks = name_maps.grid_of_positions(counts, *grids)
    missing = num_class_tokens + grid[0] * grid[1] - length

    def convert(table):
        return np.pad(table, ((0, 0), (missing, 0), (0, 0)))

    is_by_dinov2 = "mask_token" in shapes and "register_tokens" not in shapes
    arguments["position"] = "learned_1d"
    arguments["position_grid"] = grid
    arguments["position_interpolation"] = (
        "bicubic" if is_by_dinov2 else "bicubic_antialias"
    )
    weights["positions/position_embedding"] = FromTensors(
        ("pos_embed",), convert
    )
    return remarks


def _add_rotation(shapes, arguments, weights, grids):
    """As `_add_positions`, for the class Eva; no tensor shows positions."""
    num_leading = (
        arguments["num_class_tokens"] + arguments["num_register_tokens"]
    )
    arguments["position"] = "rotary"
    arguments["position_rule"] = rotary_rule(num_leading)
    grid = next((x for x in grids if x), None)
    if grid:
        arguments["position_grid"] = grid
    return ()


def _backbone(shapes):
    root = "patch_embed.backbone"
    if f"{root}.stem.conv.weight" in shapes:
        stem = (f"{root}.stem.conv", f"{root}.stem.norm")
    elif f"{root}.conv.weight" in shapes:  # R+Ti/16 is the root alone
        stem = (f"{root}.conv", f"{root}.norm")
    else:
        return None, {}
    unit = root + ".stages.{}.blocks.{}."
    return read_torch_bit_resnet(shapes, stem, unit)


def _pooling(shapes, settings, class_tokens):
    if "fc_norm.weight" in shapes:
        raise PretrainedError(
            "The file's head reads tokens that are averaged and then "
            "normalized (fc_norm); build_vit has no such head."
        )
    return settings["pooling"] or ("class_token" if class_tokens else "mean")


def _pixels(shapes, settings):
    """Mean and standard deviation, and a remark if no file has them."""
    mean, std = settings["pixel_mean"], settings["pixel_std"]
    remarks = ()
    if mean is None or std is None:
        mean, std = 127.5, 127.5
        has_scale = "blocks.0.ls1.gamma" in shapes or settings["rotary"]
        if "dist_token" in shapes or has_scale:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        remarks = (
            "No config.json has mean and std; assumed "
            f"pixel_mean={mean}, pixel_std={std}. DeiT without "
            f"distillation needs pixel_mean={IMAGENET_MEAN}, "
            f"pixel_std={IMAGENET_STD}.",
        )
    return {"pixel_mean": mean, "pixel_std": std}, remarks
