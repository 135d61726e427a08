"""Google's .npz files: the original ViT and AugReg, pure and hybrid.

The arrays show all settings: a query kernel of Flax is (D, H, key_dim).
"""

import numpy as np

from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import count_layers
from keras_vtr.pretrained.name_map import grid_of_positions
from keras_vtr.pretrained.resnet.convolutions import ConvolutionNames
from keras_vtr.pretrained.vit.bit_resnet import STANDARDIZATION_EPSILON
from keras_vtr.pretrained.vit.bit_resnet import read_bit_resnet
from keras_vtr.pretrained.vit.name_map import VitNameMap

POSITIONS = "Transformer/posembed_input/pos_embedding"
ARGUMENTS = {
    "num_classes": 0,
    "position": "none",
    "activation": "gelu",
    "layer_norm_epsilon": 1e-6,
    "position_interpolation": "bilinear",
    "pixel_mean": 127.5,
    "pixel_std": 127.5,
}
BIT_RESNET = ConvolutionNames(
    stem=("conv_root", "gn_root"),
    block="block{}/unit{}/",
    part=("conv{}", "gn{}"),
    projection=("conv_proj", "gn_proj"),
    first=(1, 1, 1),
    kernel="/kernel",
)


def recognize(shapes):
    return any(name.endswith("embedding/kernel") for name in shapes)


def read(shapes, config, position_grid=None):
    config.disregard()
    # A training state has a prefix before the names of the weights.
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
    arguments |= ARGUMENTS | {
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "pooling": "class_token" if has_class_token else "mean",
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
        width = shapes["conv_root/kernel"][-1]
        bit_resnet, backbone_weights = read_bit_resnet(
            shapes, BIT_RESNET, width, _convolution, _norm, epsilon=1e-6
        )
        weights |= backbone_weights
    weights = _add_prefix(weights, prefix)
    return VitNameMap(
        "Google", arguments, weights, remarks=remarks, bit_resnet=bit_resnet
    )


def _add_prefix(weights, prefix):
    return {
        ours: FromTensors(
            tuple(prefix + x for x in origin.names), origin.convert
        )
        for ours, origin in weights.items()
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
    """Joins the heads of attention's arrays: (D, H, d) -> (D, H d)."""

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
    """In some files, a group norm's arrays are (1, 1, 1, C)."""

    def flatten(array):
        return array.reshape(-1)

    return {
        f"{ours}/gamma": FromTensors((f"{theirs}/scale",), flatten),
        f"{ours}/beta": FromTensors((f"{theirs}/bias",), flatten),
    }


def _convolution(ours, theirs, use_bias):
    name = f"{theirs}/kernel"
    return {f"{ours}/kernel": FromTensors((name,), _rescale_filters)}


def _rescale_filters(kernel, epsilon=STANDARDIZATION_EPSILON):
    """Scales filters so that our standardization equals Google's.

    Theirs divides by `std + 1e-5`, ours by `sqrt(var + epsilon)`. The factor c
    solves `c / sqrt(c^2 var + epsilon) = 1 / (std + 1e-5)`.
    """
    std = kernel.astype("float64").std(axis=(0, 1, 2))
    factor = np.sqrt(epsilon / (2e-5 * std + 1e-10))
    return (kernel * factor).astype("float32")
