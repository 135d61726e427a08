"""What no tensor of an RF-DETR shows: config.json, or the training's settings.

Keys from transformers 5.24 and from the authors' configuration (rfdetr 1.7).
"""

import math

from keras_vtr.models.detr.rf_detr_sizes import SIZES
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.detr.coco_classes import coco_names
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import VIT_CHANGES_NOTHING
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_common_keys
from keras_vtr.pretrained.vit.name_map import grid_of_sides

# Of the loss, of training and of the initialization, or they show in tensors.
CHANGES_NOTHING = set(
    """
    decoder_layers decoder_ffn_dim num_queries d_model group_detr
    intermediate_size c2f_num_blocks hidden_expansion dropout attention_dropout
    activation_dropout init_std disable_custom_kernels auxiliary_loss
    class_cost bbox_cost giou_cost class_loss_coefficient
    dice_loss_coefficient bbox_loss_coefficient giou_loss_coefficient
    eos_coefficient focal_alpha mask_loss_coefficient mask_point_sample_ratio
    mask_class_loss_coefficient mask_dice_loss_coefficient
    """.split()
)
EXPECTED = {
    "activation_function": ("silu",),
    "decoder_activation_function": ("relu",),
    "segmentation_head_activation_function": ("gelu",),
    "attention_bias": (True,),
    "num_feature_levels": (1,),
    "mask_downsample_ratio": (4,),
}
VIT_EXPECTED = {
    "model_type": ("rf_detr_dinov2",),
    "hidden_act": ("gelu",),
    "qkv_bias": (True,),
    "use_swiglu_ffn": (False,),
    "apply_layernorm": (True,),
    "reshape_hidden_states": (True,),
    "num_register_tokens": (0,),
}
TRAINING_EXPECTED = {
    "two_stage": (True,),
    "bbox_reparam": (True,),
    "lite_refpoint_refine": (True,),
    "layer_norm": (True,),
    "projector_scale": (["P4"],),
    "encoder": ("dinov2_windowed_small", "dinov2_windowed_base"),
}
WINDOWS = ("num_windows", "feature_blocks", "global_blocks")


def read_keys(config, arguments, vit, position_grid):
    """Adds to the arguments of both builders; returns remarks."""
    num_weights = arguments.pop("num_weights")
    arguments["class_names"] = read_class_names(
        config, arguments["num_classes"]
    ) or coco_names(arguments["num_classes"])
    settings = config.training.part("args")
    if config:
        heads = _read_config(config, arguments, vit)
    elif settings:
        heads = _read_training(settings, arguments, vit)
    else:
        heads = 8, 16  # as in all sizes; the tensors are checked below
    remarks = _read_names(settings, arguments)
    grid = vit.pop("grid", None)
    vit["position_grid"], more = name_maps.grid_of_positions(
        (vit.pop("num_positions"),), position_grid, grid
    )
    remarks += more
    if "num_windows" not in arguments:
        remarks += _assume_windows(config, arguments, vit)
    heads_of_vit = max(1, vit["hidden_dim"] // 64)  # as in DINOv2
    vit.setdefault("num_heads", heads_of_vit)
    num_heads, num_cross_heads = heads
    if num_cross_heads != 2 * num_heads or num_weights % num_cross_heads:
        raise PretrainedError(
            f"{config.place.parent}: cross attention must have twice as many "
            f"heads as self attention, and points for each. Received: "
            f"{num_cross_heads} and {num_heads} heads, {num_weights} weights"
        )
    arguments["num_heads"] = num_heads
    arguments["num_points"] = num_weights // num_cross_heads
    settings.expect({"dec_n_points": (arguments["num_points"],)})
    side = config.preprocessor.get("size")
    if isinstance(side, dict) and {"height", "width"} <= set(side):
        sides = config.preprocessor.sides("size")
        arguments["image_shape"] = (*sides, 3)
    return remarks


def _read_config(config, arguments, vit):
    """transformers' config.json; returns the numbers of heads."""
    backbone = config.part("backbone_config")
    vit["num_heads"] = backbone.integer("num_attention_heads", REQUIRED)
    vit["layer_norm_epsilon"] = backbone.number("layer_norm_eps", 1e-6)
    vit["grid"] = grid_of_sides(
        backbone.sides("image_size"), vit["patch_size"], None
    )
    taps = backbone.get("out_indices")
    if taps is None:
        names = backbone.get("out_features", REQUIRED)
        taps = [int(x.removeprefix("stage")) for x in names]
    _add_windows(arguments, taps, backbone.integer("num_windows", 4))
    read_common_keys(backbone)
    backbone.ignore(VIT_CHANGES_NOTHING - set(VIT_EXPECTED))
    backbone.ignore(["window_block_indexes"])  # follow from the features'
    backbone.expect(VIT_EXPECTED)
    arguments["projection_epsilon"] = config.number("layer_norm_eps", 1e-5)
    heads = tuple(
        config.integer(f"decoder_{kind}_attention_heads", default)
        for kind, default in (("self", 8), ("cross", 16))
    )
    config.ignore(("model_type", "decoder_n_points"))
    config.ignore(CHANGES_NOTHING)
    config.expect(EXPECTED)
    read_common_keys(config)
    return heads


def _read_training(settings, arguments, vit):
    """What the authors' program saves beside the weights."""
    settings.expect(TRAINING_EXPECTED)
    sizes = {
        "patch_size": vit["patch_size"],
        "positional_encoding_size": math.isqrt(vit["num_positions"]),
        "hidden_dim": arguments["hidden_dim"],
        "dec_layers": arguments["num_decoder_layers"],
        "num_queries": arguments["num_queries"],
    }
    settings.expect({key: (size,) for key, size in sizes.items()})
    taps = settings.get("out_feature_indexes")
    num_windows = settings.integer("num_windows")
    if taps and num_windows:
        _add_windows(arguments, list(taps), num_windows)
    side = settings.integer("resolution")
    if side:
        arguments["image_shape"] = (side, side, 3)
    return tuple(
        settings.integer(f"{kind}_nheads", default)
        for kind, default in (("sa", 8), ("ca", 16))
    )


def _read_names(settings, arguments):
    """Sets the authors' `class_names`, if their order is sure.

    The head has a row more than there are classes, and labels count from 1 in
    rfdetr up to version 1.5, from 0 since 1.6.
    """
    names = settings.get("class_names")
    known = arguments["class_names"] or ()  # COCO's, by their number
    if not names or set(names) <= set(known):
        return ()
    if len(names) == arguments["num_classes"]:
        arguments["class_names"] = tuple(names)
        return ()
    arguments["class_names"] = None
    return (
        f"The file names the classes {list(names)}, but not whether class 0 "
        "(rfdetr 1.6 and later) or class 1 (before) is the first of them. Give "
        "`class_names`, with None for classes that are not used.",
    )


def _add_windows(arguments, taps, num_windows):
    """Taps count the ViT's blocks from 1; those behind them see everything."""
    arguments |= {
        "num_windows": num_windows,
        "feature_blocks": tuple(tap - 1 for tap in taps),
        "global_blocks": tuple(tap for tap in taps if tap < taps[-1]),
    }


def _assume_windows(config, arguments, vit):
    """Those of the size with the same patches, positions and layers."""
    shape = vit["patch_size"], math.prod(vit["position_grid"])
    for size, options in SIZES.items():
        # The first size has the positions of its DINOv2, for 518 pixels.
        side = 518 if size == "base" else options["image_side"]
        if shape == (options["patch_size"], (side // shape[0]) ** 2):
            arguments |= {key: options[key] for key in WINDOWS}
            side = options["image_side"]
            arguments.setdefault("image_shape", (side, side, 3))
            return (
                "No file tells the windows; assumed those of the size "
                f"{size!r}. Give `num_windows`, `feature_blocks` and "
                "`global_blocks` if they are others.",
            )
    raise PretrainedError(
        f"{config.place.parent}: no file tells the windows of the ViT, and no "
        f"size of build_rf_detr has patches of {shape[0]} pixels and "
        f"{shape[1]} positions. Put the authors' settings or config.json "
        "beside the weights."
    )
