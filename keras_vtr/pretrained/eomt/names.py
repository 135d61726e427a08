"""EoMT in the names of transformers: a DINOv2 with queries and two heads."""

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.eomt.name_map import EomtNameMap
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_vit_keys
from keras_vtr.pretrained.vit.hugging_face import ACTIVATIONS
from keras_vtr.pretrained.vit.hugging_face import read_encoder
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.vit.name_map import read_tokens

PATCHES = "embeddings.patch_embeddings.projection"
POSITIONS = "embeddings.position_embeddings.weight"
BLOCK = "upscale_block.block"
# Of the loss and of training, or they show in the tensors.
CHANGES_NOTHING = set(
    """
    num_queries num_upscale_blocks no_object_weight class_weight mask_weight
    dice_weight train_num_points oversample_ratio importance_sample_ratio
    attention_dropout
    """.split()
)
# Of the loss; and the share of masked queries, which the authors anneal away.
UNUSED = ("criterion.empty_weight", "attn_mask_probs")


def recognize(shapes):
    return {"query.weight", "mask_head.fc1.weight"} <= set(shapes)


def read(shapes, config, position_grid=None):
    config.choice("model_type", ("eomt",), REQUIRED)
    num_query_blocks = config.integer("num_blocks", REQUIRED)
    vit, weights, remarks = _read_vit(shapes, config, position_grid)
    config.ignore(CHANGES_NOTHING)
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, IMAGENET_MEAN, IMAGENET_STD
    )
    weights = {f"vit_{path}": x for path, x in weights.items()}
    weights |= _read_heads(shapes, vit["patch_size"])
    num_classes = shapes["class_predictor.weight"][0] - 1
    arguments = {
        "num_classes": num_classes,
        "num_queries": shapes["query.weight"][0],
        "num_query_blocks": num_query_blocks,
        "class_names": read_class_names(config, num_classes),
    }
    return EomtNameMap(
        "Hugging Face EoMT",
        arguments | pixels,
        weights,
        unused=UNUSED,
        remarks=(*remarks, *pixel_remarks),
        knows_pixels=knows_pixels,
        vit=vit,
    )


def _read_vit(shapes, config, position_grid):
    """Arguments of `build_vit`, weights, and remarks."""
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    hidden_dim, _, patch_size, _ = shapes[f"{PATCHES}.weight"]
    arguments, weights = read_encoder(shapes, "", "dinov2")
    if arguments["activation"] is None:
        arguments["activation"] = activation
    arguments |= {
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "num_heads": config.integer("num_attention_heads", REQUIRED),
        "layer_norm_epsilon": config.number("layer_norm_eps", 1e-6),
        "position_interpolation": "bicubic_antialias",
    }
    read_vit_keys(config)
    grid = grid_of_sides(config.sides("image_size"), patch_size, None)
    arguments["position_grid"], remarks = name_maps.grid_of_positions(
        shapes[POSITIONS][:1], position_grid, grid
    )
    tokens, token_weights = read_tokens(
        shapes, ("embeddings.cls_token",), "embeddings.register_tokens"
    )
    weights |= token_weights
    weights |= from_tensors.convolution("patches/projection", PATCHES)
    # Ours has a row for the class token, too.
    weights["positions/position_embedding"] = FromTensors(
        (POSITIONS,), lambda table: np.pad(table, ((1, 0), (0, 0)))[None]
    )
    return arguments | tokens, weights, remarks


def _read_heads(shapes, patch_size):
    weights = from_tensors.dense("class_head", "class_predictor")
    encoder = "vit_encoder"
    weights[f"{encoder}/queries"] = FromTensors(
        ("query.weight",), lambda x: x[None]
    )
    for i in range(3):
        weights |= from_tensors.dense(
            f"{encoder}/prediction/embedding_{i}", f"mask_head.fc{i + 1}"
        )
    num_blocks = from_tensors.count_layers(shapes, BLOCK + ".{}.")
    if patch_size != 4 * 2**num_blocks:
        raise ValueError(
            "masks must have a quarter of the image's size. Received: "
            f"{num_blocks} blocks that double patches of {patch_size} pixels"
        )
    for i in range(num_blocks):
        ours, theirs = f"{encoder}/prediction", f"{BLOCK}.{i}"
        # A transposed convolution's (in, out, height, width), and a depthwise
        # one's (channels, 1, height, width).
        weights |= from_tensors.convolution(
            f"{ours}/enlargement_{i}", f"{theirs}.conv1"
        )
        weights[f"{ours}/convolution_{i}/kernel"] = FromTensors(
            (f"{theirs}.conv2.weight",),
            lambda kernel: np.transpose(kernel, (2, 3, 0, 1)),
        )
        weights |= from_tensors.norm(
            f"{ours}/norm_{i}", f"{theirs}.layernorm2d"
        )
    return weights
