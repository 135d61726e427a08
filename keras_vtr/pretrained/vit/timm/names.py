"""timm's names: ViT, DeiT, the four hybrids, DINOv2 with and without registers.

Of what the arrays don't tell (heads are joined in `qkv`), `config.json` says
some; for the rest the sizes of the papers stand.
"""

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.vit.vit import SIZES
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import read_bit_resnet
from keras_vtr.pretrained.vit.name_map import token_stride
from keras_vtr.pretrained.vit.timm.config import read_settings

TOLD_BY_NAME = ("num_heads", "activation", "layer_norm_epsilon", "pooling")
HEADS = {  # theirs: ours, and the argument that says its width
    "head": ("head", "num_classes"),
    "head_dist": ("distillation_head", "num_classes"),
    "pre_logits.fc": ("representation", "representation_dim"),
}
# timm's name, and that of the authors of DINOv2, who have timm's else.
INNER = ("fc1", "w12")
OUTPUT = ("fc2", "w3")
REGISTERS = ("reg_token", "register_tokens")


def recognize(shapes):
    return "patch_embed.proj.weight" in shapes


def read(shapes, config, position_grid=None):
    settings = read_settings(config)
    kernel_shape = shapes["patch_embed.proj.weight"]
    names = [name for name in ("cls_token", "dist_token") if name in shapes]
    weights = from_tensors.convolution("patches/projection", "patch_embed.proj")
    if names:
        weights["class_token/class_token"] = FromTensors(
            tuple(names), lambda *x: np.concatenate(x, axis=1)
        )
    registers = _first(shapes, REGISTERS, "{}")
    arguments, encoder_weights = _encoder(shapes, settings)
    arguments |= {
        "patch_size": kernel_shape[2],
        "hidden_dim": kernel_shape[0],
        "num_class_tokens": len(names),
        "num_register_tokens": shapes.get(registers, (1, 0))[1],
        "pooling": _pooling(shapes, settings, names),
        "num_classes": 0,
        "distilled": "head_dist.weight" in shapes,
    }
    if registers in shapes:
        weights["register_tokens/class_token"] = FromTensors((registers,))
    for theirs, (ours, key) in HEADS.items():
        if f"{theirs}.weight" in shapes:
            weights |= from_tensors.dense(ours, theirs)
            arguments[key] = shapes[f"{theirs}.weight"][0]
    bit_resnet, backbone_weights = _backbone(shapes)
    weights |= encoder_weights | backbone_weights
    pixels, remarks = _pixels(shapes, settings)
    arguments |= pixels
    stride = token_stride(kernel_shape[2], bit_resnet)
    said = settings["sides"] and tuple(x // stride for x in settings["sides"])
    assumed = _add_positions(shapes, arguments, weights, (position_grid, said))
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
    if not settings["is_told"]:
        told = {key: arguments[key] for key in TOLD_BY_NAME if arguments[key]}
        remarks += (
            "No file tells timm's name of the architecture; assumed "
            + ", ".join(f"{key}={value!r}" for key, value in told.items())
            + ".",
        )
    if unused:
        remarks += ("mask_token was left out; only pre-training reads it.",)
    return remarks


def _first(shapes, names, pattern):
    """The first of the names that the file has; else the first of all."""
    found = (pattern.format(name) for name in names)
    return next((x for x in found if x in shapes), pattern.format(names[0]))


def _encoder(shapes, settings):
    num_layers = from_tensors.count_layers(shapes, "blocks.{}.")
    inner, hidden_dim = shapes[_first(shapes, INNER, "blocks.0.mlp.{}.weight")]
    mlp_dim = shapes[_first(shapes, OUTPUT, "blocks.0.mlp.{}.weight")][1]
    by_size = {width: num_heads for width, _, num_heads, _ in SIZES.values()}
    is_swiglu = inner == 2 * mlp_dim
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
        name = _first(shapes, names, theirs + ".mlp.{}.weight")
        weights |= from_tensors.dense(
            f"{ours}/feed_forward/layer/{part}_projection",
            name.removesuffix(".weight"),
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


def _add_positions(shapes, arguments, weights, grids):
    """The table of positions, for patches alone or class tokens too; remarks.

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
        root_names = (f"{root}.stem.conv", f"{root}.stem.norm")
    elif f"{root}.conv.weight" in shapes:  # R+Ti/16 is the root alone
        root_names = (f"{root}.conv", f"{root}.norm")
    else:
        return None, {}
    unit = root + ".stages.{stage}.blocks.{unit}"
    return read_bit_resnet(shapes, *root_names, unit)


def _pooling(shapes, settings, class_tokens):
    if "fc_norm.weight" in shapes:
        raise PretrainedError(
            "The head of this file reads tokens that are averaged and "
            "then normalized (fc_norm), which build_vit doesn't have."
        )
    return settings["pooling"] or ("class_token" if class_tokens else "mean")


def _pixels(shapes, settings):
    """Mean and standard deviation, and a remark if no file tells them."""
    mean, std = settings["pixel_mean"], settings["pixel_std"]
    remarks = ()
    if mean is None or std is None:
        mean, std = 127.5, 127.5
        if "dist_token" in shapes or "blocks.0.ls1.gamma" in shapes:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        remarks = (
            "There is no config.json that tells mean and std; assumed "
            f"pixel_mean={mean}, pixel_std={std}. DeiT without "
            f"distillation needs pixel_mean={IMAGENET_MEAN}, "
            f"pixel_std={IMAGENET_STD}.",
        )
    return {"pixel_mean": mean, "pixel_std": std}, remarks
