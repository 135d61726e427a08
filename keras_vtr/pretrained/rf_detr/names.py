"""RF-DETR in the names of its authors, and of transformers.

Files of transformers have the authors' names or those that version 5 has in
memory; the latter are translated to the former.
"""

import dataclasses
import re

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.rf_detr.decoder import read_decoder
from keras_vtr.pretrained.rf_detr.keys import read_keys
from keras_vtr.pretrained.rf_detr.name_map import RfDetrNameMap
from keras_vtr.pretrained.rf_detr.refusals import refuse_others
from keras_vtr.pretrained.vit.hugging_face import read_encoder

MOVES = "refpoint_embed.weight"
MOVES_5 = "reference_point_embed.weight"
VIT = "backbone.0.encoder.encoder."
PATCHES = f"{VIT}embeddings.patch_embeddings.projection"
POSITIONS = f"{VIT}embeddings.position_embeddings"
C2F = "backbone.0.projector.stages.0."
# From version 5's names to the authors', applied one after the other.
RENAMES = (
    (r"^(model\.)+", ""),
    (r"^reference_point_embed", "refpoint_embed"),
    (r"^backbone\.backbone\.", VIT),
    (r"^backbone\.projector\.layer_norm", f"{C2F}1"),
    (r"^backbone\.projector\.projector_layer\.", f"{C2F}0."),
    (r"\.bottlenecks\.(\d+)\.conv", r".m.\1.conv"),
    (r"(stages\.0\.0\..*)conv(\d)\.conv", r"\1cv\2.conv"),
    (r"(stages\.0\.0\..*)conv(\d)\.norm", r"\1cv\2.bn"),
    (r"^decoder\.layernorm", "transformer.decoder.norm"),
    (r"^(decoder|enc_out)", r"transformer.\1"),
    (r"\.self_attn_layer_norm", ".norm1"),
    (r"\.cross_attn_layer_norm", ".norm2"),
    (r"(transformer\.decoder\..*)\.layer_norm", r"\1.norm3"),
    (r"(transformer\.decoder\..*)\.mlp\.fc", r"\1.linear"),
    (r"^blocks\.(\d+)\.layernorm", r"segmentation_head.blocks.\1.norm"),
    (r"^blocks\.(\d+)\.depthwise_conv", r"segmentation_head.blocks.\1.dwconv"),
    (r"^blocks\.(\d+)\.pointwise_conv", r"segmentation_head.blocks.\1.pwconv1"),
    (r"^(query_features_block)\.norm", r"segmentation_head.\1.norm_in"),
    (r"^(query_features_block)\.mlp\.fc1", r"segmentation_head.\1.layers.0"),
    (r"^(query_features_block)\.mlp\.fc2", r"segmentation_head.\1.layers.2"),
    (r"^((spatial|query)_features_proj)", r"segmentation_head.\1"),
    (r"^segmentation_bias", "segmentation_head.bias"),
)


def recognize(shapes):
    """Also LW-DETR and RF-DETR's other models, which `read` refuses."""
    return any(name.endswith((MOVES, MOVES_5)) for name in shapes)


def read(shapes, config, position_grid=None):
    theirs = {_by_authors(name): name for name in shapes}
    shapes = {name: shapes[x] for name, x in theirs.items()}
    refuse_others(shapes, config, PATCHES)
    vit, weights = _read_vit(shapes)
    arguments, decoder_weights = read_decoder(shapes)
    num_groups = arguments.pop("num_groups")
    weights |= decoder_weights | _read_projection(shapes)
    remarks = read_keys(config, arguments, vit, position_grid)
    arguments["masks"] = "segmentation_head.bias" in shapes
    if arguments["masks"]:
        weights |= _read_mask_head(shapes)
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, IMAGENET_MEAN, IMAGENET_STD
    )
    # Blocks behind the last one that features are taken from.
    last = arguments["feature_blocks"][-1]
    behind = re.compile(rf"{re.escape(VIT)}encoder\.layer\.(\d+)\.")
    unused = [
        name
        for name in shapes
        if (match := behind.match(name)) and int(match[1]) > last
    ]
    unused.append(f"{VIT}embeddings.mask_token")
    weights = {
        path: dataclasses.replace(x, names=tuple(theirs[n] for n in x.names))
        for path, x in weights.items()
        if not set(x.names) & set(unused)
    }
    return RfDetrNameMap(
        "RF-DETR",
        arguments,
        weights,
        unused=tuple(theirs[x] for x in unused if x in theirs),
        remarks=(*remarks, *(pixel_remarks if config.preprocessor else ())),
        knows_pixels=knows_pixels,
        license="Apache-2.0 (the authors' weights)",
        vit=vit | pixels,
        num_groups=num_groups,
    )


def _by_authors(name):
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _read_vit(shapes):
    """Arguments of `build_vit`, and the weights of the backbone."""
    arguments, weights = read_encoder(shapes, VIT, "dinov2")
    hidden_dim, _, patch_size, _ = shapes[f"{PATCHES}.weight"]
    arguments |= {
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "activation": "gelu",
        "layer_norm_epsilon": 1e-6,
        "position_interpolation": "bicubic_antialias",
        "num_positions": shapes[POSITIONS][1] - 1,
    }
    weights |= from_tensors.convolution("patches/projection", PATCHES)
    for path, name in (
        ("class_token/class_token", f"{VIT}embeddings.cls_token"),
        ("positions/position_embedding", POSITIONS),
    ):
        weights[path] = FromTensors((name,))
    return arguments, {f"backbone_{path}": x for path, x in weights.items()}


def _read_projection(shapes):
    weights = from_tensors.norm("input_projection/norm", f"{C2F}1")
    names = {"input": "cv1", "output": "cv2"}
    for i in range(from_tensors.count_layers(shapes, f"{C2F}0.m.{{}}.")):
        names |= {f"block_{i}_{j}": f"m.{i}.cv{j + 1}" for j in range(2)}
    for part, name in names.items():
        ours, theirs = f"input_projection/{part}", f"{C2F}0.{name}"
        weights |= from_tensors.convolution(
            f"{ours}_convolution", f"{theirs}.conv", use_bias=False
        )
        weights |= from_tensors.norm(f"{ours}_norm", f"{theirs}.bn")
    return weights


def _read_mask_head(shapes):
    head = "segmentation_head."
    weights = {"mask_head/bias": FromTensors((f"{head}bias",), lambda x: x[0])}
    for i in range(from_tensors.count_layers(shapes, head + "blocks.{}.")):
        theirs = f"{head}blocks.{i}"
        ours = f"mask_head/convolution_{i}"
        weights |= {
            f"{ours}/kernel": FromTensors(
                (f"{theirs}.dwconv.weight",),
                lambda kernel: np.transpose(kernel, (2, 3, 0, 1)),
            ),
            f"{ours}/bias": FromTensors((f"{theirs}.dwconv.bias",)),
        }
        weights |= from_tensors.norm(f"mask_head/norm_{i}", f"{theirs}.norm")
        weights |= from_tensors.dense(
            f"mask_head/dense_{i}", f"{theirs}.pwconv1"
        )
    pixels = f"{head}spatial_features_proj"  # a convolution of 1 x 1
    weights |= {
        "mask_head/pixel_projection/kernel": FromTensors(
            (f"{pixels}.weight",), lambda kernel: kernel[:, :, 0, 0].T
        ),
        "mask_head/pixel_projection/bias": FromTensors((f"{pixels}.bias",)),
    }
    block = f"{head}query_features_block"
    weights |= from_tensors.norm("mask_head/query_norm", f"{block}.norm_in")
    for ours, theirs in (
        ("dense", f"{block}.layers.0"),
        ("output", f"{block}.layers.2"),
        ("projection", f"{head}query_features_proj"),
    ):
        weights |= from_tensors.dense(f"mask_head/query_{ours}", theirs)
    return weights
