"""The three models as diagrams: their layers' names, classes and shapes."""

import functools

from canvas import COLORS
from canvas import INK
from canvas import PALE_INK
from canvas import Canvas

from keras_vtr import models
from keras_vtr import stages
from keras_vtr.backbones import build_convolution_stem

WIDTH = 230  # of a node
STEP = 62  # from one node to the next


def shape_of(tensor):
    """(B, 64, 96) of (None, 64, 96)."""
    return "(" + ", ".join(str(x or "B") for x in tensor.shape) + ")"


def class_of(layer):
    return type(layer).__name__


def notes_of(layer):
    """What stands under the class of a layer: its stage and its output."""
    return (f"{layer.name} {shape_of(layer.output)}",)


def stages_of(model, table):
    """The layers that the table names and the model has, in their order."""
    names = [name for key, name in vars(table).items() if key.isupper()]
    found = {layer.name: layer for layer in model.layers}
    return {name: found[name] for name in names if name in found}


@functools.cache
def small_vit():
    """As in examples/build_by_hand.py, with one block to be quick."""
    return models.build_vit(
        10,
        size="tiny",
        image_shape=(64, 64, 3),
        patch_size=8,
        hidden_dim=96,
        num_layers=1,
        num_heads=4,
        mlp_dim=192,
    )


@functools.cache
def small_detr():
    return models.build_detr(10, size="small", image_shape=(64, 64, 3))


def vit():
    found = stages_of(small_vit(), stages.ViT)
    patch_size = found[stages.ViT.PATCHES].patch_size
    words = {
        stages.ViT.IMAGES: ("pixels", "pixels from 0 to 255"),
        stages.ViT.NORMALIZE_PIXELS: ("pixels", "now from -1 to 1"),
        stages.ViT.PATCHES: (
            "tokens",
            f"a convolution: stride = kernel = {patch_size}",
        ),
        stages.ViT.TOKENS: ("tokens", "the map in raster order: a sequence"),
        stages.ViT.CLASS_TOKEN: (
            "queries",
            "one learned vector more, put first",
        ),
        stages.ViT.POSITIONS: ("positions", "a learned vector for each place"),
        stages.ViT.ENCODER: (
            "tokens",
            "all tokens look at all, block by block",
        ),
        stages.ViT.POOLING: ("queries", "the class token alone is read"),
        stages.ViT.HEAD: ("answers", "a logit for each class"),
    }
    canvas = Canvas(830, 52 + STEP * len(found), "ViT: stages and shapes")
    canvas.text(190, 30, "keras_vtr.stages.ViT", 13, PALE_INK, mono=True)
    canvas.text(560, 30, "what it does", 13, PALE_INK)
    for i, (name, layer) in enumerate(found.items()):
        kind, meaning = words[name]
        y = 44 + STEP * i
        canvas.node(60, y, 260, kind, class_of(layer), *notes_of(layer))
        canvas.text(400, y + 28, meaning, 14, INK, "start")
        canvas.line([(326, y + 23), (390, y + 23)], "#d0d7de", 1, "3 3")
        if i:
            canvas.arrow([(190, y - STEP + 45), (190, y - 1)], INK)
    return canvas


def detr():
    model, table = small_detr(), stages.DETR
    found = stages_of(model, table)
    canvas = Canvas(830, 512, "DETR: stages and shapes")
    stem = build_convolution_stem
    (backbone,) = [x for x in model.layers if stem.__name__.endswith(x.name)]
    column = [
        ("pixels", found[table.IMAGES]),
        ("pixels", found[table.NORMALIZE_PIXELS]),
        ("pixels", backbone),
        ("tokens", found[table.INPUT_PROJECTION]),
        ("tokens", found[table.TOKENS]),
        ("tokens", found[table.ENCODER]),
    ]
    for i, (kind, layer) in enumerate(column):
        y = 30 + 78 * i
        name = stem.__name__ if layer is backbone else class_of(layer)
        canvas.node(24, y, WIDTH, kind, name, *notes_of(layer))
        if i:
            canvas.arrow([(139, y - 32), (139, y - 1)], INK)
    _draw_decoder(canvas, found)
    _draw_heads(canvas, found)
    return canvas


def _draw_decoder(canvas, found):
    """Positions and queries, and where they and the memory enter."""
    table, color = stages.DETR, COLORS["positions"][1]
    for x, y, kind, name in (
        (300, 342, "positions", table.POSITIONS),
        (300, 186, "queries", table.OBJECT_QUERIES),
        (562, 264, "answers", table.DECODER),
    ):
        layer = found[name]
        canvas.node(x, y, WIDTH, kind, class_of(layer), *notes_of(layer))
    canvas.arrow([(254, 287), (277, 287), (277, 365), (299, 365)], color)
    canvas.arrow([(415, 388), (415, 436), (255, 436)], color)
    canvas.arrow([(530, 365), (620, 365), (620, 311)], color)
    canvas.arrow([(530, 209), (620, 209), (620, 263)], COLORS["queries"][1])
    canvas.arrow([(254, 450), (730, 450), (730, 311)], INK, 2.5)
    canvas.text(590, 470, "memory", 14, font_weight="bold")
    canvas.text(590, 488, "keys and values of cross attention", 12.5, PALE_INK)
    canvas.text(415, 333, "fixed; for queries and keys only", 12.5, color)
    canvas.text(415, 250, "learned: where to look", 12.5, PALE_INK)


def _draw_heads(canvas, found):
    """The two heads, and the model's outputs."""
    table, outputs = stages.DETR, small_detr().output
    color = COLORS["answers"][1]
    boxes, classes = found[table.BOX_HEAD_2], found[table.CLASS_HEAD]
    notes = f"box_head_0, 1, 2 {shape_of(boxes.output)}"
    name = f"3 x {class_of(boxes)}"
    canvas.node(562, 30, WIDTH, "answers", name, notes)
    canvas.node(
        562, 108, WIDTH, "answers", class_of(classes), *notes_of(classes)
    )
    canvas.arrow([(677, 263), (677, 155)], INK)
    canvas.arrow([(792, 287), (812, 287), (812, 53), (793, 53)], INK)
    layers, _, logits = classes.output.shape[1:]
    note = f'{logits - 1} classes and "no object"'
    for y, key, words in (
        (53, "boxes", f"of the last of {layers} layers"),
        (131, "logits", note),
    ):
        canvas.arrow([(561, y), (516, y)], color)
        text = f"{key} {shape_of(outputs[key])}"
        canvas.text(508, y, text, 13, color, "end", mono=True)
        canvas.text(508, y + 17, words, 12.5, PALE_INK, "end")
