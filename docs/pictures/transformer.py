"""Figure 1 of Vaswani et al. 2017, with the names of our classes."""

import functools

from canvas import COLORS
from canvas import INK
from canvas import PALE_INK
from canvas import Canvas
from networks import class_of

from keras_vtr import models
from keras_vtr import stages

NODE = 200  # width
STEP = 68
FIRST = 474  # upper edge of a block's first node
LEFT, RIGHT = 96, 550


@functools.cache
def small_transformer():
    return models.build_transformer(
        40, hidden_dim=8, num_layers=1, num_heads=2, mlp_dim=8
    )


def transformer():
    model, table = small_transformer(), stages.Transformer
    canvas = Canvas(830, 724, "The Transformer of 2017, with our classes")
    for x, name in ((LEFT, table.SOURCE), (RIGHT, table.TARGET)):
        center = x + NODE / 2
        canvas.text(center, 706, name, 14, mono=True, font_weight="bold")
        canvas.arrow([(center, 692), (center, 677)], INK)
        embedding = class_of(model.get_layer(table.EMBEDDING))
        canvas.node(x, 630, NODE, "tokens", embedding, "embedding")
        canvas.arrow([(center, 630), (center, 600)], INK)
        canvas.plus(center, 590)
    positions = class_of(model.get_layer(table.POSITIONS))
    canvas.node(321, 567, 204, "positions", positions, "positional encoding")
    canvas.arrow([(321, 590), (207, 590)], COLORS["positions"][1])
    canvas.arrow([(525, 590), (639, 590)], COLORS["positions"][1])
    top = _draw_encoder(canvas, model.get_layer(table.ENCODER))
    _draw_decoder(canvas, model.get_layer(table.DECODER))
    _draw_memory(canvas, top)
    return canvas


def _draw_encoder(canvas, encoder):
    block = encoder.blocks[0]
    parts = [
        ("tokens", block.attention, "multi-head attention"),
        ("pixels", block.self_attention_block, "add & norm"),
        ("answers", block.feed_forward, "feed forward"),
        ("pixels", block.feed_forward_block, "add & norm"),
    ]
    top = _draw_block(canvas, LEFT, parts, LEFT - 28)
    _name_stack(canvas, 342, 500, encoder, "start")
    return top


def _draw_decoder(canvas, decoder):
    block = decoder.blocks[0]
    parts = [
        ("tokens", block.attention, "masked: use_causal_mask"),
        ("pixels", block.self_attention_block, "add & norm"),
        ("queries", block.cross_attention, "multi-head attention"),
        ("pixels", block.cross_attention_block, "add & norm"),
        ("answers", block.feed_forward, "feed forward"),
        ("pixels", block.feed_forward_block, "add & norm"),
    ]
    top = _draw_block(canvas, RIGHT, parts, RIGHT + NODE + 28)
    _name_stack(canvas, 510, 140, decoder, "end")
    center = RIGHT + NODE / 2
    canvas.arrow([(center, top), (center, 89)], INK)
    embedding = class_of(small_transformer().get_layer("embedding"))
    canvas.node(RIGHT, 42, NODE, "tokens", embedding, "linear: reverse=True")
    canvas.arrow([(center, 42), (center, 28)], INK)
    canvas.text(center, 20, "logits of the next token", 13)


def _draw_memory(canvas, top):
    """From the encoder's upper edge to the decoder's cross attention."""
    center, bend = LEFT + NODE / 2, 436
    entry = FIRST - 2 * STEP + 23
    canvas.arrow(
        [
            (center, top),
            (center, 214),
            (bend, 214),
            (bend, entry),
            (549, entry),
        ],
        COLORS["tokens"][1],
        2.5,
    )
    name = stages.Transformer.MEMORY
    canvas.text(318, 210, name, 15, mono=True, font_weight="bold")
    canvas.text(318, 238, "keys and values", 12, PALE_INK)


def _draw_block(canvas, x, parts, side):
    """Draws a block's parts upwards, and each residual along the side.

    Returns:
        The upper edge of the last part.
    """
    center, top = x + NODE / 2, FIRST - STEP * (len(parts) - 1)
    frame = (min(x, side) - 12, max(x + NODE, side) + 12)
    canvas.rectangle(
        frame[0],
        top - 12,
        frame[1] - frame[0],
        FIRST - top + 84,
        "#f8fafc",
        "#94a3b8",
        10,
    )
    for i, (kind, part, words) in enumerate(parts):
        y = FIRST - STEP * i
        start = 580 if i == 0 else y + STEP
        canvas.arrow([(center, start), (center, y + 47)], INK)
        canvas.node(x, y, NODE, kind, class_of(part), words)
        if i % 2:
            fork = FIRST + 59 if i == 1 else y + 2 * STEP - 8
            edge = x - 1 if side < x else x + NODE + 1
            canvas.arrow(
                [(center, fork), (side, fork), (side, y + 23), (edge, y + 23)],
                PALE_INK,
            )
    return top


def _name_stack(canvas, x, y, stack, anchor):
    block = stack.blocks[0]
    bold = {"anchor": anchor, "mono": True, "font_weight": "bold"}
    canvas.text(x, y, class_of(stack), 13, **bold)
    canvas.text(x, y + 18, "6 copies of", 12, PALE_INK, anchor)
    canvas.text(x, y + 36, class_of(block), 12, anchor=anchor, mono=True)
