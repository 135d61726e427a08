"""Pictures of numbers that our layers compute: positions, attention, matching.

What is drawn is rounded to few steps, so that another machine's last digits
change nothing.
"""

import keras
import numpy as np
from canvas import COLORS
from canvas import INK
from canvas import PALE_INK
from canvas import Canvas
from canvas import between
from scene import CAR
from scene import HEIGHT
from scene import OBJECTS
from scene import TREE
from scene import WIDTH
from scene import draw_box
from scene import draw_scene
from scene import patch_colors

from keras_vtr import layers
from keras_vtr import losses

BLUE, RED, WHITE = "#1d4ed8", "#c2410c", "#ffffff"


def in_steps(values, num_steps):
    """Integers, -num_steps to num_steps, of values from -1 to 1."""
    return np.rint(num_steps * np.array(values)).astype(int).tolist()


def sine_table():
    canvas = Canvas(830, 388, "Position encodings as tables: a row a position")
    colors = {i: between(WHITE, RED, i / 6) for i in range(7)}
    colors |= {-i: between(WHITE, BLUE, i / 6) for i in range(1, 7)}
    sequence = layers.SinePositionEncoding1D()(np.zeros((1, 36, 36)))[0]
    grid = layers.SinePositionEncoding2D()(np.zeros((1, 6, 6, 36)))[0]
    tables = (
        (90, sequence, layers.SinePositionEncoding1D, "36 words of a sequence"),
        (510, grid, layers.SinePositionEncoding2D, "6 x 6 pixels of a map"),
    )
    for x, values, layer_class, words in tables:
        canvas.text(x + 126, 28, layer_class.__name__, 14, mono=True)
        canvas.text(x + 126, 48, words, 12.5, PALE_INK)
        rows = in_steps(keras.ops.convert_to_numpy(values), 6)
        canvas.cells(x, 62, 7, rows, colors)
        canvas.rectangle(x, 62, 252, 252, "none", "#94a3b8")
        for i in range(0, 36, 6):
            canvas.text(x - 8, 70 + 7 * i, str(i), 11, PALE_INK, "end")
        canvas.text(x - 58, 192, "row", 13, PALE_INK)
    canvas.text(216, 334, "channels: short waves to long waves", 12.5, PALE_INK)
    canvas.text(573, 334, "channels of y", 12.5, PALE_INK)
    canvas.text(699, 334, "channels of x", 12.5, PALE_INK)
    for value, color in colors.items():
        canvas.rectangle(408 + 14 * value, 354, 14, 14, color, "#94a3b8")
    canvas.text(312, 366, "-1", 12)
    canvas.text(516, 366, "1", 12)
    return canvas


def attention_row():
    """Three rows of attention: by positions, by content, by both."""
    canvas = Canvas(830, 258, "One row of attention over a picture")
    color = COLORS["loss"][1]
    unit, top, query = 12, 62, (9, 2)
    panels = (
        ("one patch looks", "the query, in red", None),
        ("by positions alone", "a kernel around the query", (0, 1)),
        ("by content alone", "patches that look alike", (1, 0)),
        ("by both", "its own car", (1, 1)),
    )
    for i, (title, words, shares) in enumerate(panels):
        x = 13 + 204 * i
        center = x + 8 * unit
        canvas.text(center, 30, title, 15, font_weight="bold")
        canvas.text(center, 50, words, 12.5, PALE_INK)
        draw_scene(canvas, x, top, unit)
        if shares is not None:
            veil = (x, top, WIDTH * unit, HEIGHT * unit, WHITE)
            canvas.rectangle(*veil, fill_opacity="0.72")
            weights = attention_weights(query, *shares)
            _draw_weights(canvas, x, top, unit, weights)
        place = (x + unit * query[1], top + unit * query[0], unit, unit)
        canvas.rectangle(*place, "none", color, stroke_width=2.5)
    canvas.text(
        415,
        236,
        "the darker, the larger the weight; the weights of a row sum to 1",
        13,
        PALE_INK,
    )
    return canvas


def attention_weights(query, content_share, position_share):
    """The row of one patch, (HEIGHT, WIDTH), of an attention made by hand.

    Queries and keys are the tokens themselves, times a number. Content is a
    patch's color, as a direction from the mean color.
    """
    colors = np.array(patch_colors(1), "float32").reshape(-1, 3)
    colors -= colors.mean(axis=0)
    colors /= np.linalg.norm(colors, axis=1, keepdims=True)
    tokens = np.zeros((1, len(colors), 64), "float32")
    # Into channels of long waves, where all positions are nearly 0.
    tokens[0, :, 58::2] = 4 * content_share * colors
    positions = layers.SinePositionEncoding2D()(
        np.zeros((1, HEIGHT, WIDTH, 64), "float32")
    )
    attention = layers.MultiHeadAttention(num_heads=1)
    attention.build(tokens.shape)
    for projection in (attention.query_projection, attention.key_projection):
        projection.set_weights([5 * np.eye(64), np.zeros(64)])
    _, scores = attention(
        tokens,
        query_positions=position_share * positions,
        return_attention_scores=True,
    )
    row = keras.ops.convert_to_numpy(scores)[0, 0, query[0] * WIDTH + query[1]]
    return row.reshape(HEIGHT, WIDTH)


def _draw_weights(canvas, x, top, unit, weights):
    steps = in_steps(weights / weights.max(), 8)
    colors = {i: between("#dbe6fd", BLUE, i / 8) for i in range(1, 9)}
    canvas.cells(x, top, unit, steps, colors)


# Six queries: the box as in OBJECTS, and the probabilities of car, tree and
# "no object".
CLASSES = (CAR, TREE)
PREDICTIONS = [
    ((1.2, 7.6, 5.6, 11.0), (0.80, 0.02, 0.18)),
    ((6.0, 2.2, 9.6, 8.6), (0.03, 0.75, 0.22)),
    ((0.2, 7.0, 6.4, 11.4), (0.60, 0.02, 0.38)),
    ((12.4, 0.9, 14.8, 3.5), (0.04, 0.06, 0.90)),
    ((10.1, 8.4, 14.6, 11.4), (0.55, 0.05, 0.40)),
    ((0.4, 4.2, 7.6, 8.0), (0.02, 0.30, 0.68)),
]


def relative(corners):
    """Center, width and height, each as a part of the image.

    In hundredths, as docs/guide.md has them.
    """
    x0, y0, x1, y1 = corners
    center = ((x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT)
    size = ((x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
    return [round(side, 2) for side in (*center, *size)]


def match_queries():
    """Costs (M, Q) of the objects and queries, and the query of each object."""
    names, corners = zip(*OBJECTS, strict=True)
    y_true = {
        "labels": keras.ops.array([[CLASSES.index(name) for name in names]]),
        "boxes": keras.ops.array([[relative(x) for x in corners]]),
    }
    boxes, probabilities = zip(*PREDICTIONS, strict=True)
    y_pred = {
        "logits": keras.ops.log(keras.ops.array([[probabilities]])),
        "boxes": keras.ops.array([[[relative(x) for x in boxes]]]),
    }
    terms = losses.detr_terms()
    cost = losses.matching.pairwise_cost(terms, y_true, y_pred)[:, 0]
    is_target = keras.ops.ones(cost.shape[:2], "bool")
    queries = losses.matching.assign(cost, is_target)
    return [keras.ops.convert_to_numpy(x)[0] for x in (cost, queries)]


def matching():
    canvas = Canvas(830, 420, "Six queries, three objects, matched one to one")
    cost, queries = match_queries()
    _draw_predictions(canvas, 20, 62, 17)
    canvas.text(156, 30, "what six queries answer", 15, font_weight="bold")
    canvas.text(156, 50, "solid: the three true boxes", 12.5, PALE_INK)
    _draw_pairs(canvas, queries.tolist())
    _draw_costs(canvas, cost, queries.tolist())
    return canvas


def _draw_predictions(canvas, x, y, unit):
    draw_scene(canvas, x, y, unit)
    for _, corners in OBJECTS:
        draw_box(canvas, x, y, unit, corners, "#7c5e10", stroke_width=3)
    for i, (corners, _) in enumerate(PREDICTIONS):
        border = COLORS["queries"][1]
        draw_box(
            canvas,
            x,
            y,
            unit,
            corners,
            border,
            stroke_width=1.8,
            stroke_dasharray="5 3",
        )
        place = (x + unit * corners[0], y + unit * corners[1])
        canvas.circle(*place, 9, border)
        canvas.text(place[0], place[1] + 4.5, str(i), 12, WHITE)


def _draw_pairs(canvas, queries):
    """Lines between queries and objects; "no object" for the others."""
    canvas.text(392, 30, "queries", 15, font_weight="bold")
    canvas.text(392, 50, "car / tree / no object", 12.5, PALE_INK)
    canvas.text(732, 30, "objects", 15, font_weight="bold")
    ends = {query: 83 + 54 * i for i, query in enumerate(queries)}
    for i, (_, probabilities) in enumerate(PREDICTIONS):
        y = 76 + 34 * i
        end = (653, ends.get(i, 250))
        if i in ends:
            canvas.line([(478, y), end], INK, 2.5)
        else:
            canvas.line([(478, y), end], "#9aa3af", 1.5, "4 4")
        words = " / ".join(f"{p:.2f}" for p in probabilities)
        canvas.node(324, y - 14, 154, "queries", words, height=28)
        canvas.text(312, y + 5, str(i), 13, COLORS["queries"][1])
    for i, (name, _) in enumerate(OBJECTS):
        canvas.node(654, 66 + 54 * i, 156, "targets", name, height=34)
    canvas.node(654, 233, 156, "pixels", '"no object"', height=34)


def _draw_costs(canvas, cost, queries):
    """The table of costs; what is chosen has a border."""
    text = "cost of each pair: - probability + 5 L1 - 2 GIoU"
    canvas.text(20, 318, text, 13, INK, "start", font_weight="bold")
    for j in range(cost.shape[1]):
        canvas.text(452 + 64 * j, 318, f"query {j}", 12.5, PALE_INK)
    for i, row in enumerate(cost):
        y = 344 + 28 * i
        canvas.text(400, y, OBJECTS[i][0], 13, INK, "end")
        for j, value in enumerate(row):
            chosen = queries[i] == j
            fill, border = COLORS["targets"] if chosen else (WHITE, "#d0d7de")
            canvas.rectangle(422 + 64 * j, y - 18, 60, 25, fill, border)
            weight = "bold" if chosen else None
            words = f"{value:.1f}"
            canvas.text(452 + 64 * j, y, words, 13, font_weight=weight)
    lines = [
        "Each object gets a query of its own so",
        "that the sum is least: HungarianLoss",
    ]
    canvas.lines(20, 348, lines, 13, anchor="start")
