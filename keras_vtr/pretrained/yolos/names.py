"""YOLOS in the names of transformers: a ViT with queries and two heads.

Files have version 4's names, version 5 has others in memory; both are read.
"""

import numpy as np

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.detr.coco_classes import coco_names
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_vit_keys
from keras_vtr.pretrained.vit.hugging_face import ACTIVATIONS
from keras_vtr.pretrained.vit.hugging_face import read_encoder
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.yolos.name_map import ENCODER
from keras_vtr.pretrained.yolos.name_map import POSITIONS
from keras_vtr.pretrained.yolos.name_map import YolosNameMap
from keras_vtr.stages import YOLOS

PREFIX = "vit."
EMBEDDINGS = f"{PREFIX}embeddings."
PATCHES = f"{EMBEDDINGS}patch_embeddings.projection"
QUERIES = f"{EMBEDDINGS}detection_tokens"
TABLE = f"{EMBEDDINGS}position_embeddings"
TABLES_BETWEEN = (
    f"{PREFIX}encoder.mid_position_embeddings",
    f"{PREFIX}encoder.interpolation.mid_position_embeddings",  # version 5
)
HEADS = {
    "class_labels_classifier": (
        YOLOS.CLASS_HEAD_0,
        YOLOS.CLASS_HEAD_1,
        YOLOS.CLASS_HEAD,
    ),
    "bbox_predictor": (YOLOS.BOX_HEAD_0, YOLOS.BOX_HEAD_1, YOLOS.BOX_HEAD_2),
}
# Of the loss, or they show in the tensors.
CHANGES_NOTHING = set(
    """
    auxiliary_loss class_cost bbox_cost giou_cost bbox_loss_coefficient
    giou_loss_coefficient eos_coefficient
    """.split()
)


def recognize(shapes):
    return QUERIES in shapes


def read(shapes, config, position_grid=None):
    config.choice("model_type", ("yolos",), REQUIRED)
    num_queries = shapes[QUERIES][1]
    between = next((x for x in TABLES_BETWEEN if x in shapes), None)
    config.expect(
        {
            "num_detection_tokens": (num_queries,),
            "use_mid_position_embeddings": (between is not None,),
        }
    )
    vit, weights, remarks = _read_vit(shapes, config, position_grid)
    weights = {f"{YOLOS.VIT}_{path}": x for path, x in weights.items()}
    weights |= _read_queries(num_queries, between, vit["num_layers"])
    for head, layers in HEADS.items():
        for i, name in enumerate(layers):
            weights |= from_tensors.dense(name, f"{head}.layers.{i}")
    num_classes = shapes["class_labels_classifier.layers.2.weight"][0] - 1
    class_names = read_class_names(config, num_classes)
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, IMAGENET_MEAN, IMAGENET_STD
    )
    arguments = {
        "num_classes": num_classes,
        "num_queries": num_queries,
        "positions_between_blocks": between is not None,
        "class_names": class_names or coco_names(num_classes),
    }
    return YolosNameMap(
        "Hugging Face YOLOS",
        arguments | pixels,
        weights,
        remarks=(*remarks, *pixel_remarks),
        knows_pixels=knows_pixels,
        vit=vit,
    )


def _read_vit(shapes, config, position_grid):
    """Arguments of `build_vit`, weights, and remarks."""
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    config.ignore(CHANGES_NOTHING)
    read_vit_keys(config)
    hidden_dim, _, patch_size, _ = shapes[f"{PATCHES}.weight"]
    arguments, weights = read_encoder(shapes, PREFIX, "vit")
    grid = grid_of_sides(config.sides("image_size"), patch_size, None)
    num_patches = shapes[TABLE][1] - shapes[QUERIES][1] - 1
    grid, remarks = name_maps.grid_of_positions(
        (num_patches,), position_grid, grid
    )
    arguments |= {
        "activation": activation,
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "num_heads": config.integer("num_attention_heads", REQUIRED),
        "layer_norm_epsilon": config.number("layer_norm_eps", 1e-12),
        "position_grid": grid,
        "position_interpolation": "bicubic",
    }
    weights |= from_tensors.convolution("patches/projection", PATCHES)
    weights["class_token/class_token"] = FromTensors(
        (f"{EMBEDDINGS}cls_token",)
    )
    return arguments, weights, remarks


def _read_queries(num_queries, between, num_layers):
    """Their rows are those of the class token, patches, queries."""

    def positions(table):
        return table[:, :-num_queries]

    def queries(tokens, table):
        return tokens + table[:, -num_queries:]

    def between_blocks(i):
        def reordered(tables):
            first, patches, last = np.split(
                tables[i], [1, tables.shape[2] - num_queries], axis=1
            )
            return np.concatenate([first, last, patches], axis=1)

        return reordered

    weights = {
        f"{POSITIONS}/position_embedding": FromTensors((TABLE,), positions),
        f"{ENCODER}/queries": FromTensors((QUERIES, TABLE), queries),
    }
    for i in range(num_layers - 1 if between else 0):
        path = f"{ENCODER}/positions_{i}/position_embedding"
        weights[path] = FromTensors((between,), between_blocks(i))
    return weights
