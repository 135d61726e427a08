"""README's picture: from an image to boxes, and the class behind each step."""

import itertools

from canvas import COLORS
from canvas import INK
from canvas import PALE_INK
from canvas import Canvas
from canvas import between
from scene import CAR
from scene import HEIGHT
from scene import OBJECTS
from scene import WIDTH
from scene import draw_box
from scene import draw_grid
from scene import draw_scene
from scene import hexadecimal
from scene import patch_colors

from keras_vtr import layers
from keras_vtr import losses

UNIT = 8.5  # a unit of the street in pixels
TILE = 2 * UNIT
TOP, MIDDLE = 66, 66 + UNIT * HEIGHT / 2
CENTERS = (89, 252, 415, 578, 741)
COLUMN = UNIT * WIDTH
COLUMNS = (
    ("image", "pixels from 0 to 255"),
    ("tokens", "one vector for each patch"),
    ("memory", "each token has seen all"),
    ("queries", "each asks for one object"),
    ("boxes", "all answered at once"),
)
ANSWERED = {0: 0, 2: 1, 3: 2}  # query to object


def overview():
    title = (
        "Image, tokens, memory, queries, boxes, and the class that makes each"
    )
    canvas = Canvas(830, 386, title)
    for x, (name, note) in zip(CENTERS, COLUMNS, strict=True):
        canvas.text(x, 33, name, 20, font_weight="bold")
        canvas.text(x, 53, note, 12.5, PALE_INK)
    left = [x - COLUMN / 2 for x in CENTERS]
    draw_scene(canvas, left[0], TOP, UNIT)
    draw_grid(canvas, left[0], TOP, UNIT, 2)
    _draw_tokens(canvas, left[1], 0)
    _draw_tokens(canvas, left[2], 0.5)
    _draw_looks(canvas, left[2])
    _draw_queries(canvas)
    _draw_boxes(canvas, left[4])
    _draw_flow(canvas)
    _draw_classes(canvas)
    _draw_further_classes(canvas)
    return canvas


def _draw_tokens(canvas, left, mixed):
    """Tiles in the colors of the patches, mixed with the mean of all."""
    colors = patch_colors(2)
    every = [color for row in colors for color in row]
    mean = [round(sum(x) / len(every)) for x in zip(*every, strict=True)]
    for i, row in enumerate(colors):
        for j, color in enumerate(row):
            color = between(hexadecimal(color), hexadecimal(mean), mixed)
            x, y = left + TILE * j + 2, TOP + TILE * i + 2
            canvas.rectangle(x, y, TILE - 4, TILE - 4, color, "#7c8694", 3)


def _draw_looks(canvas, left):
    """One token looks at others."""

    def center(row, column):
        return left + TILE * (column + 0.5), TOP + TILE * (row + 0.5)

    for place in ((4, 6), (1, 4), (4, 2), (0, 6), (2, 0), (5, 4)):
        canvas.line([center(4, 1), center(*place)], INK, 1.3)
        canvas.circle(*center(*place), 3, INK)
    canvas.circle(*center(4, 1), 5, COLORS["loss"][1], "#ffffff")


def _draw_queries(canvas):
    fill, border = COLORS["queries"]
    for i in range(6):
        y = MIDDLE + 18 * (i - 2.5)
        canvas.circle(CENTERS[3] - 14, y, 7.5, fill, border, stroke_width=1.5)
        words = OBJECTS[ANSWERED[i]][0] if i in ANSWERED else "none"
        canvas.text(CENTERS[3], y + 4, words, 12.5, border, "start")


def _draw_boxes(canvas, left):
    draw_scene(canvas, left, TOP, UNIT)
    for name, corners in OBJECTS:
        color = "#b45309" if name == CAR else "#14532d"
        draw_box(canvas, left, TOP, UNIT, corners, color, stroke_width=2.5)
        x, y = left + UNIT * corners[0] - 1, TOP + UNIT * corners[1] - 15
        width = 8 + 7 * len(name)
        canvas.rectangle(x, y, width, 15, color)
        canvas.text(x + width / 2, y + 11, name, 12, "#ffffff")


def _draw_classes(canvas):
    names = (
        ("pixels", "keras.Input", "(B, height, width, 3)"),
        ("tokens", layers.PatchEmbedding.__name__, "(B, N, D)"),
        ("tokens", layers.TransformerEncoder.__name__, "(B, N, D)"),
        ("queries", layers.ObjectQueries.__name__, "(B, Q, D)"),
        ("answers", layers.TransformerDecoder.__name__, "and heads: (B, Q, 4)"),
    )
    for x, (kind, *words) in zip(CENTERS, names, strict=True):
        canvas.arrow([(x, 214), (x, 180)], COLORS[kind][1], size=8)
        canvas.node(x - 77, 214, 154, kind, *words)


def _draw_flow(canvas):
    half = [COLUMN / 2, COLUMN / 2, COLUMN / 2, 34, COLUMN / 2]
    edges = list(zip(CENTERS, half, strict=True))
    for (x0, half0), (x1, half1) in itertools.pairwise(edges):
        ends = [(x0 + half0 + 3, MIDDLE), (x1 - half1 - 3, MIDDLE)]
        canvas.arrow(ends, INK, 2.5, size=10)


def _draw_further_classes(canvas):
    """Below: what is added to tokens, where ViT ends, and the loss."""
    further = (
        (1, "positions", layers.PositionEmbedding, "adds where it is", True),
        (2, "answers", layers.ClassHead, "(B, K)", False),
        (4, "loss", losses.HungarianLoss, "one number", True),
    )
    for column, kind, found, note, is_upward in further:
        x = CENTERS[column]
        ends = [(x, 289), (x, 261)] if is_upward else [(x, 259), (x, 287)]
        canvas.arrow(ends, COLORS[kind][1], size=8)
        canvas.node(x - 77, 289, 154, kind, found.__name__, note)
    notes = (
        (1, "or, fixed, of DETR:", "SinePositionEncoding2D"),
        (2, "ViT ends here:", "one class an image"),
        (4, "in training: which query", "answers for which object"),
    )
    for column, *lines in notes:
        canvas.lines(CENTERS[column], 353, lines, 12)
