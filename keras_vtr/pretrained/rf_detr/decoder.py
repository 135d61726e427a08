"""RF-DETR's selection of queries, decoder and heads, in its authors' names."""

import functools

import numpy as np

from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained.detr.names import read_attention
from keras_vtr.pretrained.from_tensors import FromTensors

DECODER = "transformer.decoder"
PARTS = ("self_attention", "cross_attention", "feed_forward")
POINTS = {
    "offset_projection": "sampling_offsets",
    "weight_projection": "attention_weights",
    "value_projection": "value_proj",
    "output_projection": "output_proj",
}


def read_decoder(shapes):
    """Arguments of `build_rf_detr`, and weights.

    The first of the groups of queries is the model's; `add_groups` adds the
    others to a model that is trained.
    """
    num_groups = from_tensors.count_layers(shapes, "transformer.enc_output.{}.")
    num_rows, hidden_dim = shapes["query_feat.weight"]
    num_queries = num_rows // num_groups
    num_layers = from_tensors.count_layers(shapes, DECODER + ".layers.{}.")
    layer = f"{DECODER}.layers.0"
    arguments = {
        "num_classes": shapes["class_embed.weight"][0],
        "num_queries": num_queries,
        "num_groups": num_groups,
        "num_decoder_layers": num_layers,
        "hidden_dim": hidden_dim,
        "mlp_dim": shapes[f"{layer}.linear1.weight"][0],
        "num_weights": shapes[f"{layer}.cross_attn.attention_weights.bias"][0],
    }
    weights = from_tensors.norm("decoder/norm", f"{DECODER}.norm")
    weights |= from_tensors.dense("class_head", "class_embed")
    weights |= _read_encoding()
    for i in range(3):
        weights |= from_tensors.dense(
            f"decoder/box_head_{i}", f"bbox_embed.layers.{i}"
        )
    for i in range(num_layers):
        weights |= _read_layer(shapes, i)
    for i in range(num_groups):
        weights |= _read_selection(i, num_queries)
    for path, rows in (
        ("object_queries/queries", slice(num_queries)),
        ("group_queries/queries", slice(num_queries, None)),
    ):
        weights[path] = FromTensors(
            ("query_feat.weight",), functools.partial(_rows, rows=rows)
        )
    return arguments, weights


def _rows(table, rows):
    return table[None, rows]


def _read_encoding():
    """The authors' waves are of y, x, width and height."""
    theirs = f"{DECODER}.ref_point_head.layers"
    ours = "decoder/box_encoding"

    def swap(kernel):
        y, x, *sides = np.split(kernel.T, 4)
        return np.concatenate([x, y, *sides])

    weights = from_tensors.dense(f"{ours}/inner_projection", f"{theirs}.0")
    weights[f"{ours}/inner_projection/kernel"] = FromTensors(
        (f"{theirs}.0.weight",), swap
    )
    return weights | from_tensors.dense(
        f"{ours}/output_projection", f"{theirs}.1"
    )


def _read_layer(shapes, number):
    theirs = f"{DECODER}.layers.{number}"
    ours = f"decoder/block_{number}"
    weights = read_attention(
        shapes, f"{ours}/self_attention/layer", f"{theirs}.self_attn"
    )
    for i, part in enumerate(PARTS):
        weights |= from_tensors.norm(
            f"{ours}/{part}/norm", f"{theirs}.norm{i + 1}"
        )
    for part, name in POINTS.items():
        weights |= from_tensors.dense(
            f"{ours}/cross_attention/layer/{part}",
            f"{theirs}.cross_attn.{name}",
        )
    for part, name in (("inner", "linear1"), ("output", "linear2")):
        weights |= from_tensors.dense(
            f"{ours}/feed_forward/layer/{part}_projection", f"{theirs}.{name}"
        )
    return weights


def _read_selection(group, num_queries):
    ours = f"group_selection_{group - 1}" if group else "query_selection"
    theirs = "transformer.enc_out"
    weights = from_tensors.dense(f"{ours}/projection", f"{theirs}put.{group}")
    weights |= from_tensors.norm(f"{ours}/norm", f"{theirs}put_norm.{group}")
    weights |= from_tensors.dense(
        f"{ours}/class_head", f"{theirs}_class_embed.{group}"
    )
    for i in range(3):
        weights |= from_tensors.dense(
            f"{ours}/box_head_{i}", f"{theirs}_bbox_embed.{group}.layers.{i}"
        )
    rows = slice(group * num_queries, (group + 1) * num_queries)
    weights[f"{ours}/moves"] = FromTensors(
        ("refpoint_embed.weight",), functools.partial(_rows, rows=rows)
    )
    return weights
