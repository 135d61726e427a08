"""DETR in the names of its authors and of transformers.

Table Transformer (Smock et al. 2022, "PubTables-1M") is a DETR with pre-norm.
Files of transformers have version 4's names, version 5 has others in memory;
all are read. The panoptic model is a detector with the prefix "detr.", and a
mask head.
"""

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.detr.coco_classes import coco_names
from keras_vtr.pretrained.detr.keys import read_detr_keys
from keras_vtr.pretrained.detr.keys import refuse_successors
from keras_vtr.pretrained.detr.mask_head import read_mask_head
from keras_vtr.pretrained.detr.name_map import DetrNameMap
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.resnet.names import read_resnet
from keras_vtr.pretrained.transformers_keys import read_class_names

AUTHORS = {
    "backbone": ("backbone.0.body.",),
    "input_projection": "input_proj",
    "queries": "query_embed.weight",
    "class_head": "class_embed",
    "box_head": "bbox_embed.layers",
    "encoder": "transformer.encoder",
    "decoder": "transformer.decoder",
    "encoder_norm": "norm",
    "decoder_norm": "norm",
    "cross_attention": "multihead_attn",
    "inner": ("linear1",),
    "output": ("linear2",),
    "encoder_norms": ("norm1", "norm2"),
    "decoder_norms": ("norm1", "norm2", "norm3"),
}
TRANSFORMERS = {
    "backbone": ("model.backbone.conv_encoder.model.", "model.backbone.model."),
    "input_projection": "model.input_projection",
    "queries": "model.query_position_embeddings.weight",
    "class_head": "class_labels_classifier",
    "box_head": "bbox_predictor.layers",
    "encoder": "model.encoder",
    "decoder": "model.decoder",
    "encoder_norm": "layernorm",
    "decoder_norm": "layernorm",
    "cross_attention": "encoder_attn",
    "inner": ("fc1", "mlp.fc1"),
    "output": ("fc2", "mlp.fc2"),
    "encoder_norms": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder_norms": (
        "self_attn_layer_norm",
        "encoder_attn_layer_norm",
        "final_layer_norm",
    ),
}


QUERIES = (AUTHORS["queries"], TRANSFORMERS["queries"])
# Successors without these, which `read` refuses by name.
OTHER_QUERIES = ("query_refpoint_embeddings.weight", "pos_trans.weight")


def recognize(shapes):
    return any(name.endswith(QUERIES + OTHER_QUERIES) for name in shapes)


def read(shapes, config, position_grid=None):
    refuse_successors(shapes, config)
    queries = next(x for x in shapes if x.endswith(QUERIES))
    prefix = "detr." if queries.startswith("detr.") else ""
    by_authors = queries == prefix + AUTHORS["queries"]
    names = AUTHORS if by_authors else TRANSFORMERS
    arguments, weights = _transformer(shapes, prefix, names)
    arguments["num_queries"], arguments["hidden_dim"] = shapes[queries]
    weights["object_queries/queries"] = FromTensors(
        (queries,), lambda x: x[None]
    )
    arguments["masks"] = any(name.startswith("mask_head.") for name in shapes)
    if arguments["masks"]:
        weights |= read_mask_head(shapes, arguments["hidden_dim"])
    _add_class_head(shapes, prefix + names["class_head"], arguments, weights)
    num_classes = arguments["num_classes"]
    names_given = read_class_names(config, num_classes)
    arguments["class_names"] = names_given or coco_names(num_classes)
    resnet, num_channels, resnet_weights = _backbone(shapes, prefix, names)
    weights |= resnet_weights
    remarks = _read_config(config, arguments, resnet, num_channels)
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, IMAGENET_MEAN, IMAGENET_STD
    )
    if not by_authors:  # whose models all normalize alike
        remarks += pixel_remarks
    return DetrNameMap(
        "DETR" if by_authors else "Hugging Face DETR",
        arguments | pixels,
        weights,
        remarks=remarks,
        knows_pixels=by_authors or knows_pixels,
        resnet=resnet,
    )


def _add_class_head(shapes, theirs, arguments, weights):
    """A file for fine-tuning may have none."""
    arguments["num_classes"] = None
    if f"{theirs}.weight" in shapes:
        arguments["num_classes"] = shapes[f"{theirs}.weight"][0] - 1
        weights |= from_tensors.dense("class_head", theirs)


def _read_config(config, arguments, resnet, num_channels):
    """Adds settings that no tensor shows; returns remarks on unknown ones."""
    remarks = ()
    num_heads, dilation = read_detr_keys(
        config, arguments, resnet, num_channels
    )
    if num_heads is None:
        remarks += (
            "The file doesn't have the number of heads; assumed 8. Give "
            "`num_heads` if it is another.",
        )
    if dilation is None:
        remarks += (
            "The file doesn't say whether the backbone is dilated (DC5); "
            "assumed not. Give `dilation=True` if it is.",
        )
    arguments["num_heads"], resnet["dilation"] = num_heads, dilation
    return remarks


def _backbone(shapes, prefix, names):
    starts = [prefix + start for start in names["backbone"]]
    used = [x for x in starts if any(name.startswith(x) for name in shapes)]
    return read_resnet(shapes, [*used, *starts][0])


def _transformer(shapes, prefix, names):
    weights = from_tensors.convolution(
        "input_projection", prefix + names["input_projection"]
    )
    for i in range(3):
        weights |= from_tensors.dense(
            f"box_head_{i}", f"{prefix}{names['box_head']}.{i}"
        )
    arguments = {}
    parts = {
        "encoder": ("self_attention", "feed_forward"),
        "decoder": ("self_attention", "cross_attention", "feed_forward"),
    }
    for stack, blocks in parts.items():
        stem = f"{prefix}{names[stack]}"
        num_layers = from_tensors.count_layers(shapes, stem + ".layers.{}.")
        arguments[f"num_{stack}_layers"] = num_layers
        for i in range(num_layers):
            theirs = f"{stem}.layers.{i}"
            for part, norm in zip(blocks, names[f"{stack}_norms"], strict=True):
                ours = f"{stack}/block_{i}/{part}"
                weights |= from_tensors.norm(f"{ours}/norm", f"{theirs}.{norm}")
                if part == "feed_forward":
                    inner = _feed_forward(shapes, ours, theirs, names, weights)
                else:
                    name = names["cross_attention"]
                    name = "self_attn" if part == "self_attention" else name
                    weights |= read_attention(
                        shapes, f"{ours}/layer", f"{theirs}.{name}"
                    )
        arguments["mlp_dim"] = inner
        norm = f"{stem}.{names[f'{stack}_norm']}"
        has_norm = f"{norm}.weight" in shapes
        if stack == "encoder":  # it has a norm only if norms come first
            arguments["normalize_first"] = has_norm
        if stack == "decoder" or has_norm:
            weights |= from_tensors.norm(f"{stack}/norm", norm)
    return arguments, weights


def _feed_forward(shapes, ours, theirs, names, weights):
    """Adds the two projections; returns the inner width."""
    for part in ("inner", "output"):
        choices = [f"{theirs}.{name}" for name in names[part]]
        name = from_tensors.first_present(shapes, choices)
        weights |= from_tensors.dense(f"{ours}/layer/{part}_projection", name)
    return shapes[f"{name}.weight"][1]


def read_attention(shapes, ours, theirs):
    """The four projections, of torch's own attention or of separate layers."""
    output = from_tensors.first_present(
        shapes, [f"{theirs}.o_proj", f"{theirs}.out_proj"]
    )
    weights = from_tensors.dense(f"{ours}/output_projection", output)
    # torch's own attention has queries, keys and values in one matrix.
    joined = (f"{theirs}.in_proj_weight", f"{theirs}.in_proj_bias")
    for i, part in enumerate(("query", "key", "value")):
        path = f"{ours}/{part}_projection"
        if joined[0] in shapes:
            weights |= from_tensors.projection_of_three(path, *joined, i)
        else:
            name = f"{theirs}.{part[0]}_proj"
            weights |= from_tensors.dense(path, name)
    return weights
