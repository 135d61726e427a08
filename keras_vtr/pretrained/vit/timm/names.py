"""timm's names: ViT, DeiT, the four hybrids, DINOv2 with and without registers.

Tensors don't show all settings: heads are joined in `qkv`. config.json has
some of them; the others are those of the papers' models.
"""

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.vit.vit import SIZES
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import first_present
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit import lookalikes
from keras_vtr.pretrained.vit.bit_resnet import read_torch_bit_resnet
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.vit.name_map import read_tokens
from keras_vtr.pretrained.vit.timm.config import read_settings

NOT_IN_TENSORS = ("num_heads", "activation", "layer_norm_epsilon", "pooling")
HEADS = {  # theirs: ours, and the argument for its width
    "head": ("head", "num_classes"),
    "head_dist": ("distillation_head", "num_classes"),
    "pre_logits.fc": ("representation", "representation_dim"),
}
# timm's name, and the one of DINOv2's authors, who use timm's names otherwise.
INNER = ("fc1", "w12")
OUTPUT = ("fc2", "w3")
REGISTERS = ("reg_token", "register_tokens")


def recognize(shapes):
    is_known = "patch_embed.proj.weight" in shapes
    return is_known and not lookalikes.recognize(shapes)


def read(shapes, config, position_grid=None):
    settings = read_settings(config)
    kernel_shape = shapes["patch_embed.proj.weight"]
    weights = from_tensors.convolution("patches/projection", "patch_embed.proj")
    registers = first_present(shapes, REGISTERS, "")
    tokens, token_weights = read_tokens(
        shapes, ("cls_token", "dist_token"), registers
    )
    arguments, encoder_weights = _encoder(shapes, settings)
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
    bit_resnet, backbone_weights = _backbone(shapes)
    weights |= token_weights | encoder_weights | backbone_weights
    pixels, remarks = _pixels(shapes, settings)
    arguments |= pixels
    grid = grid_of_sides(settings["sides"], kernel_shape[2], bit_resnet)
    assumed = _add_positions(shapes, arguments, weights, (position_grid, grid))
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
    return remarks


def _encoder(shapes, settings):
    num_layers = from_tensors.count_layers(shapes, "blocks.{}.")
    inner, output = (
        shapes[f"{_feed_forward_name(shapes, 'blocks.0', names)}.weight"]
        for names in (INNER, OUTPUT)
    )
    hidden_dim, mlp_dim = output
    by_size = {width: num_heads for width, _, num_heads, _ in SIZES.values()}
    is_swiglu = inner[0] == 2 * mlp_dim
    arguments = {
        "num_layers": num_layers,
        "num_heads": settings["num_heads"] or by_size.get(hidden_dim),
        "mlp_dim": mlp_dim,
        "layer_norm_epsilon": 1e-6,
        "activation": "swiglu" if is_swiglu else settings["activation"],
        "normalize_query_key": "blocks.0.attn.q_norm.weight" in shapes,
        "layer_scale": 1e-5 if "blocks.0.ls1.gamma" in shapes else None,
    }
    weights = from_tensors.norm("encoder/norm", "norm")
    for i in range(num_layers):
        weights |= _block(
            shapes, f"encoder/block_{i}", f"blocks.{i}", arguments
        )
    return arguments, weights


def _block(shapes, ours, theirs, arguments):
    attention = f"{ours}/self_attention/layer"
    weights = from_tensors.norm(
        f"{ours}/self_attention/norm", f"{theirs}.norm1"
    )
    weights |= from_tensors.norm(f"{ours}/feed_forward/norm", f"{theirs}.norm2")
    for part, name in enumerate(("query", "key", "value")):
        joined = f"{theirs}.attn.qkv"
        weights |= from_tensors.projection_of_three(
            f"{attention}/{name}_projection",
            f"{joined}.weight",
            f"{joined}.bias",
            part,
        )
    weights |= from_tensors.dense(
        f"{attention}/output_projection", f"{theirs}.attn.proj"
    )
    for part, names in (("inner", INNER), ("output", OUTPUT)):
        weights |= from_tensors.dense(
            f"{ours}/feed_forward/layer/{part}_projection",
            _feed_forward_name(shapes, theirs, names),
        )
    if arguments["normalize_query_key"]:
        for part, name in (("query", "q"), ("key", "k")):
            weights |= from_tensors.norm(
                f"{attention}/{part}_norm", f"{theirs}.attn.{name}_norm"
            )
    if arguments["layer_scale"]:
        for part, name in (("self_attention", 1), ("feed_forward", 2)):
            weights[f"{ours}/{part}/layer_scale/scale"] = FromTensors(
                (f"{theirs}.ls{name}.gamma",)
            )
    return weights


def _feed_forward_name(shapes, block, names):
    return first_present(shapes, [f"{block}.mlp.{name}" for name in names])


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
        if "dist_token" in shapes or "blocks.0.ls1.gamma" in shapes:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        remarks = (
            "No config.json has mean and std; assumed "
            f"pixel_mean={mean}, pixel_std={std}. DeiT without "
            f"distillation needs pixel_mean={IMAGENET_MEAN}, "
            f"pixel_std={IMAGENET_STD}.",
        )
    return {"pixel_mean": mean, "pixel_std": std}, remarks
