"""timm's names: ViT, DeiT, the four hybrids, DINOv2 with and without registers.

Of what the arrays don't tell (heads are joined in `qkv`), `config.json` says
some; for the rest the sizes of the papers stand.
"""

import numpy as np

from keras_vtr.checkpoints import recipe as recipes
from keras_vtr.checkpoints.recipe import Source
from keras_vtr.checkpoints.tensor_file import CheckpointError
from keras_vtr.checkpoints.vit_recipe import VitRecipe
from keras_vtr.checkpoints.vit_recipe import read_bit_resnet
from keras_vtr.models.pixels import IMAGENET_DEVIATION
from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.vit import SIZES

POOLINGS = {"token": "class_token", "avg": "mean"}
# Constructor's arguments that change nothing or show in the arrays.
VISIBLE_ARGUMENTS = {
    "img_size",
    "patch_size",
    "in_chans",
    "num_classes",
    "global_pool",
    "embed_dim",
    "depth",
    "num_heads",
    "mlp_ratio",
    "init_values",
    "class_token",
    "no_embed_class",
    "reg_tokens",
    "dynamic_img_size",
    "mlp_layer",
    "act_layer",
    "qk_norm",
}
HEADS = {  # theirs: ours, and the argument that says its width
    "head": ("head", "num_classes"),
    "head_dist": ("distillation_head", "num_classes"),
    "pre_logits.fc": ("representation", "representation_dim"),
}
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu"}


def recognize(shapes):
    return "patch_embed.proj.weight" in shapes


def recipe(shapes, config, position_grid=None):
    config.disregard()
    model_arguments = config.get("model_args") or {}
    unknown = set(model_arguments) - VISIBLE_ARGUMENTS
    if unknown:
        raise CheckpointError(
            f"config.json asks for {sorted(unknown)}, which build_vit doesn't "
            f"have. Received: model_args={model_arguments}"
        )
    kernel_shape = shapes["patch_embed.proj.weight"]
    names = [name for name in ("cls_token", "dist_token") if name in shapes]
    weights = recipes.convolution("patches/projection", "patch_embed.proj")
    if names:
        weights["class_token/class_token"] = Source(
            tuple(names), lambda *x: np.concatenate(x, axis=1)
        )
    arguments, encoder_weights = _encoder(shapes, model_arguments)
    arguments |= {
        "patch_size": kernel_shape[2],
        "hidden_dim": kernel_shape[0],
        "num_class_tokens": len(names),
        "num_register_tokens": shapes.get("reg_token", (1, 0))[1],
        "pooling": _pooling(shapes, config, names),
        "num_classes": 0,
        "distilled": "head_dist.weight" in shapes,
    }
    if "reg_token" in shapes:
        weights["register_tokens/class_token"] = Source(("reg_token",))
    _add_positions(shapes, arguments, weights, position_grid)
    for theirs, (ours, key) in HEADS.items():
        if f"{theirs}.weight" in shapes:
            weights |= recipes.dense(ours, theirs)
            arguments[key] = shapes[f"{theirs}.weight"][0]
    bit_resnet, backbone_weights = _backbone(shapes)
    weights |= encoder_weights | backbone_weights
    pixels, remarks = _pixels(shapes, config)
    arguments |= pixels
    return VitRecipe(
        "timm",
        arguments,
        weights,
        remarks=remarks,
        knows_pixels=not remarks,
        bit_resnet=bit_resnet,
    )


def _encoder(shapes, model_arguments):
    num_layers = recipes.count_layers(shapes, r"blocks\.(\d+)\.")
    inner, hidden_dim = shapes["blocks.0.mlp.fc1.weight"]
    mlp_dim = shapes["blocks.0.mlp.fc2.weight"][1]
    activation = model_arguments.get("act_layer", "gelu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json asks for act_layer={activation!r}; build_vit has "
            f"{sorted(ACTIVATIONS)}."
        )
    by_size = {width: num_heads for width, _, num_heads, _ in SIZES.values()}
    arguments = {
        "num_layers": num_layers,
        "num_heads": model_arguments.get("num_heads", by_size.get(hidden_dim)),
        "mlp_dim": mlp_dim,
        "layer_norm_epsilon": 1e-6,
        "activation": "swiglu" if inner == 2 * mlp_dim else activation,
        "normalize_query_key": "blocks.0.attn.q_norm.weight" in shapes,
        "layer_scale": 1e-5 if "blocks.0.ls1.gamma" in shapes else None,
    }
    weights = recipes.norm("encoder/norm", "norm")
    for i in range(num_layers):
        weights |= _block(f"encoder/block_{i}", f"blocks.{i}", arguments)
    return arguments, weights


def _block(ours, theirs, arguments):
    attention = f"{ours}/self_attention/attention"
    weights = recipes.norm(f"{ours}/self_attention/norm", f"{theirs}.norm1")
    weights |= recipes.norm(f"{ours}/feed_forward/norm", f"{theirs}.norm2")
    for part, name in enumerate(("query", "key", "value")):
        weights |= _third(
            f"{attention}/{name}_projection", f"{theirs}.attn.qkv", part
        )
    weights |= recipes.dense(
        f"{attention}/output_projection", f"{theirs}.attn.proj"
    )
    for part, name in (("inner", "fc1"), ("output", "fc2")):
        weights |= recipes.dense(
            f"{ours}/feed_forward/{part}_projection", f"{theirs}.mlp.{name}"
        )
    if arguments["normalize_query_key"]:
        for part, name in (("query", "q"), ("key", "k")):
            weights |= recipes.norm(
                f"{attention}/{part}_norm", f"{theirs}.attn.{name}_norm"
            )
    if arguments["layer_scale"]:
        for part, name in (("self_attention", 1), ("feed_forward", 2)):
            weights[f"{ours}/{part}/layer_scale/scale"] = Source(
                (f"{theirs}.ls{name}.gamma",)
            )
    return weights


def _third(ours, theirs, part):
    """Queries, keys and values are one matrix, (3 D, D)."""
    return {
        f"{ours}/kernel": Source(
            (f"{theirs}.weight",), lambda w: np.split(w, 3)[part].T
        ),
        f"{ours}/bias": Source(
            (f"{theirs}.bias",), lambda b: np.split(b, 3)[part]
        ),
    }


def _add_positions(shapes, arguments, weights, position_grid):
    if "pos_embed" not in shapes:
        arguments["position"] = "none"
        return
    length = shapes["pos_embed"][1]
    num_class_tokens = arguments["num_class_tokens"]
    num_patches = length - num_class_tokens
    if position_grid is not None:
        num_patches = position_grid[0] * position_grid[1]
    elif num_patches != round(num_patches**0.5) ** 2:
        num_patches = length  # no_embed_class: only patches have positions
    missing = num_class_tokens + num_patches - length

    def convert(table):
        return np.pad(table, ((0, 0), (missing, 0), (0, 0)))

    arguments["position"] = "learned_1d"
    arguments["position_grid"] = position_grid or recipes.square_grid(
        num_patches
    )
    arguments["position_interpolation"] = "bicubic_antialias"
    weights["positions/position_embedding"] = Source(("pos_embed",), convert)


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


def _pooling(shapes, config, class_tokens):
    pooling = config.get("global_pool", "token" if class_tokens else "avg")
    if pooling not in POOLINGS or "fc_norm.weight" in shapes:
        raise CheckpointError(
            "The head of this checkpoint reads its tokens in a way that "
            f"build_vit doesn't have: global_pool={pooling!r}, "
            f"{'with' if 'fc_norm.weight' in shapes else 'without'} fc_norm. "
            f"It has {sorted(POOLINGS)} without fc_norm."
        )
    return POOLINGS[pooling]


def _pixels(shapes, config):
    """Mean and deviation, in config.json for one color from 0 to 1."""
    given = config.get("pretrained_cfg", config)
    if "mean" in given:
        mean, deviation = (
            tuple(255.0 * x for x in given[key]) for key in ("mean", "std")
        )
        return {"pixel_mean": mean, "pixel_deviation": deviation}, ()
    mean, deviation = 127.5, 127.5
    if "dist_token" in shapes or "blocks.0.ls1.gamma" in shapes:
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    remark = (
        f"There is no config.json; assumed pixel_mean={mean}, "
        f"pixel_deviation={deviation}. DeiT without distillation needs "
        f"pixel_mean={IMAGENET_MEAN}, "
        f"pixel_deviation={IMAGENET_DEVIATION}."
    )
    return {"pixel_mean": mean, "pixel_deviation": deviation}, (remark,)
