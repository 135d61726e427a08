"""Google's .npz files: the original ViT and AugReg, pure and hybrid.

Everything is in the arrays, since Flax keeps heads apart: a query kernel is
(D, H, key_dim).
"""

import re

import numpy as np

from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import count_layers
from keras_vtr.pretrained.name_map import grid_of_positions
from keras_vtr.pretrained.vit.name_map import VitNameMap

POSITIONS = "Transformer/posembed_input/pos_embedding"
STANDARDIZATION_EPSILON = 1e-8


def recognize(shapes):
    return any(name.endswith("embedding/kernel") for name in shapes)


def read(shapes, config, position_grid=None):
    config.disregard()
    # Training states hold the weights below a prefix.
    prefix = next(x for x in shapes if x.endswith("embedding/kernel"))
    prefix = prefix.removesuffix("embedding/kernel")
    shapes = {
        name.removeprefix(prefix): shape
        for name, shape in shapes.items()
        if name.startswith(prefix)
    }
    arguments, weights = _encoder(shapes)
    patch_size, _, _, hidden_dim = shapes["embedding/kernel"]
    has_class_token = "cls" in shapes
    arguments |= {
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "num_classes": 0,
        "pooling": "class_token" if has_class_token else "mean",
        "position": "none",
        "activation": "gelu",
        "layer_norm_epsilon": 1e-6,
        "position_interpolation": "bilinear",
        "pixel_mean": 127.5,
        "pixel_std": 127.5,
    }
    weights |= _dense("patches/projection", "embedding")
    if has_class_token:
        weights["class_token/class_token"] = FromTensors(("cls",))
    remarks = ()
    if POSITIONS in shapes:
        num_positions = shapes[POSITIONS][1] - has_class_token
        arguments["position"] = "learned_1d"
        arguments["position_grid"], remarks = grid_of_positions(
            (num_positions,), position_grid
        )
        weights["positions/position_embedding"] = FromTensors((POSITIONS,))
    if "pre_logits/kernel" in shapes:
        arguments["representation_dim"] = shapes["pre_logits/kernel"][1]
        weights |= _dense("representation", "pre_logits")
    if "head/kernel" in shapes:
        arguments["num_classes"] = shapes["head/kernel"][1]
        weights |= _dense("head", "head")
    bit_resnet = None
    if "conv_root/kernel" in shapes:
        bit_resnet, backbone_weights = _bit_resnet(shapes)
        weights |= backbone_weights
    weights = _with_prefix(weights, prefix)
    return VitNameMap(
        "Google", arguments, weights, remarks=remarks, bit_resnet=bit_resnet
    )


def _with_prefix(weights, prefix):
    return {
        ours: FromTensors(
            tuple(prefix + x for x in tensors.names), tensors.convert
        )
        for ours, tensors in weights.items()
    }


def _encoder(shapes):
    prefix = "Transformer/encoderblock_"
    num_layers = count_layers(shapes, "Transformer/encoderblock_{}/")
    attention = "MultiHeadDotProductAttention_1"
    weights = _norm("encoder/norm", "Transformer/encoder_norm")
    for i in range(num_layers):
        ours, theirs = f"encoder/block_{i}", f"{prefix}{i}"
        weights |= _norm(f"{ours}/self_attention/norm", f"{theirs}/LayerNorm_0")
        weights |= _norm(f"{ours}/feed_forward/norm", f"{theirs}/LayerNorm_2")
        for j, part in enumerate(("inner", "output")):
            weights |= _dense(
                f"{ours}/feed_forward/layer/{part}_projection",
                f"{theirs}/MlpBlock_3/Dense_{j}",
            )
        for part, name in (
            ("query", "query"),
            ("key", "key"),
            ("value", "value"),
            ("output", "out"),
        ):
            projection = f"{ours}/self_attention/layer/{part}_projection"
            weights |= _dense(
                projection, f"{theirs}/{attention}/{name}", part == "output"
            )
    query = f"{prefix}0/{attention}/query/kernel"
    arguments = {
        "num_layers": num_layers,
        "num_heads": shapes[query][1],
        "mlp_dim": shapes[f"{prefix}0/MlpBlock_3/Dense_0/kernel"][1],
    }
    return arguments, weights


def _dense(ours, theirs, is_output=None):
    """Of attention's arrays the heads are joined: (D, H, d) -> (D, H d)."""

    def kernel(array):
        if is_output is None:
            return array
        if is_output:  # (H, d, D) -> (H d, D)
            return array.reshape(-1, array.shape[-1])
        return array.reshape(array.shape[0], -1)

    def bias(array):
        return array.reshape(-1)

    return {
        f"{ours}/kernel": FromTensors((f"{theirs}/kernel",), kernel),
        f"{ours}/bias": FromTensors((f"{theirs}/bias",), bias),
    }


def _norm(ours, theirs):
    """Group norms come as (1, 1, 1, C) in some files."""

    def flat(array):
        return array.reshape(-1)

    return {
        f"{ours}/gamma": FromTensors((f"{theirs}/scale",), flat),
        f"{ours}/beta": FromTensors((f"{theirs}/bias",), flat),
    }


def _bit_resnet(shapes):
    units = {
        tuple(int(x) for x in found.groups())
        for found in (re.match(r"block(\d+)/unit(\d+)/", x) for x in shapes)
        if found
    }
    num_stages = max((stage for stage, _ in units), default=0)
    weights = _convolution("root_convolution", "conv_root")
    weights |= _norm("root_norm", "gn_root")
    for stage, unit in sorted(units):
        ours = f"stage_{stage - 1}_unit_{unit - 1}"
        theirs = f"block{stage}/unit{unit}"
        for i in range(3):
            weights |= _convolution(
                f"{ours}_convolution_{i}", f"{theirs}/conv{i + 1}"
            )
            weights |= _norm(f"{ours}_norm_{i}", f"{theirs}/gn{i + 1}")
        if f"{theirs}/conv_proj/kernel" in shapes:
            weights |= _convolution(f"{ours}_projection", f"{theirs}/conv_proj")
            weights |= _norm(f"{ours}_projection_norm", f"{theirs}/gn_proj")
    arguments = {
        "num_units": tuple(
            sum(stage == i for stage, _ in units)
            for i in range(1, num_stages + 1)
        ),
        "width": shapes["conv_root/kernel"][-1],
        "group_norm_epsilon": 1e-6,
        "standardization_epsilon": STANDARDIZATION_EPSILON,
    }
    return arguments, weights


def _convolution(ours, theirs):
    name = f"{theirs}/kernel"
    return {f"{ours}/kernel": FromTensors((name,), _rescale_filters)}


def _rescale_filters(kernel, epsilon=STANDARDIZATION_EPSILON):
    """Filters for which our standardization gives exactly Google's.

    Theirs divides by `std + 1e-5`, ours by `sqrt(var + epsilon)`. A filter's
    own scale is free, so with the factor c that solves
    `c / sqrt(c^2 var + epsilon) = 1 / (std + 1e-5)` both are equal.
    """
    std = kernel.astype("float64").std(axis=(0, 1, 2))
    factor = np.sqrt(epsilon / (2e-5 * std + 1e-10))
    return (kernel * factor).astype("float32")
