"""What one layer does: patches, add & norm, feed-forward, who may look."""

from canvas import COLORS
from canvas import INK
from canvas import PALE_INK
from canvas import Canvas
from scene import draw_grid
from scene import draw_scene
from scene import hexadecimal
from scene import patch_colors

from keras_vtr import layers


def patches():
    unit, top = 12.5, 48
    canvas = Canvas(830, 258, "An image, its patches, and one token for each")
    draw_scene(canvas, 20, top, unit)
    draw_grid(canvas, 20, top, unit, 2)
    side = 2 * unit
    canvas.rectangle(
        20, top + 4 * side, side, side, "none", "#b91c1c", 3, stroke_width=3
    )
    canvas.text(120, 30, "image", 15, font_weight="bold")
    canvas.text(120, 222, "48 patches, not overlapping", 13, PALE_INK)
    canvas.arrow([(230, 123), (392, 123)], INK, 2, size=9)
    name = layers.PatchEmbedding.__name__
    canvas.text(311, 108, name, 13, mono=True, font_weight="bold")
    canvas.lines(
        311,
        144,
        [
            "a convolution whose",
            "stride is its kernel:",
            "the same matrix",
            "for each patch",
        ],
        13,
    )
    canvas.text(612, 30, "tokens, in raster order", 15, font_weight="bold")
    _draw_vectors(canvas)
    return canvas


def _draw_vectors(canvas):
    """Columns of numbers, one for each of the first and last patches."""
    colors = [color for row in patch_colors(2) for color in row]
    fill, border = COLORS["tokens"]
    shown = [0, 1, 2, 3, None, 31, 32, 33, None, 46, 47]
    for i, place in enumerate(shown):
        x = 410 + 37 * i
        if place is None:
            canvas.text(x + 14, 126, "...", 18, PALE_INK)
            continue
        red = "#b91c1c" if place == 32 else border
        canvas.rectangle(x, 48, 28, 20, hexadecimal(colors[place]), red, 2)
        for j in range(6):
            shade = fill if (j * 7 + place * 5) % 3 else "#93b4f5"
            canvas.rectangle(x, 76 + 20 * j, 28, 20, shade, red)
        canvas.text(x + 14, 214, str(place), 12, red)
    canvas.text(
        612, 240, "each of them: D numbers, (B, N, D) in all", 13, PALE_INK
    )


def residual():
    canvas = Canvas(830, 268, "Add & norm: after the sum, or before the layer")
    name = layers.Residual.__name__
    canvas.text(215, 30, "post-norm: 2017, DETR", 15, font_weight="bold")
    canvas.text(615, 30, "pre-norm: ViT", 15, font_weight="bold")
    canvas.text(215, 52, f"{name}(f, normalize_first=False)", 12.5, mono=True)
    canvas.text(615, 52, f"{name}(f), the default", 12.5, mono=True)
    _draw_flow(canvas, 40, ("f", "+", "norm"))
    _draw_flow(canvas, 440, ("norm", "f", "+"))
    canvas.text(215, 222, "norm(x + f(x))", 15, mono=True)
    canvas.text(615, 222, "x + f(norm(x))", 15, mono=True)
    canvas.text(215, 246, "each sum passes a norm", 13, PALE_INK)
    canvas.text(615, 246, "nothing is in the way of x", 13, PALE_INK)
    return canvas


def _draw_flow(canvas, x, steps):
    y, kinds = 140, {"f": "tokens", "norm": "pixels"}
    places = [x + 100 + 90 * i for i in range(3)]
    canvas.text(x + 8, y + 5, "x", 16, mono=True)
    edges = [x + 18]
    for place, step in zip(places, steps, strict=True):
        half = 10 if step == "+" else 30
        canvas.arrow([(edges[-1], y), (place - half, y)], INK)
        if step == "+":
            canvas.plus(place, y)
        else:
            canvas.node(place - 30, y - 18, 60, kinds[step], step, height=36)
        edges.append(place + half)
    canvas.arrow([(edges[-1], y), (x + 345, y)], INK)
    plus, color = places[steps.index("+")], COLORS["queries"][1]
    canvas.arrow(
        [(x + 40, y), (x + 40, 84), (plus, 84), (plus, y - 10)], color, 2.5
    )
    canvas.text((x + 40 + plus) / 2, 77, "skip connection", 12, color)


def feed_forward():
    canvas = Canvas(830, 262, "Feed-forward: each token by itself")
    border = COLORS["tokens"][1]
    rows = patch_colors(2)[4][:4]
    for i, color in enumerate(rows):
        y = 66 + 44 * i
        canvas.rectangle(90, y, 96, 26, hexadecimal(color), border, 3)
        canvas.rectangle(330, y, 192, 26, COLORS["tokens"][0], border, 3)
        canvas.rectangle(666, y, 96, 26, COLORS["answers"][0], border, 3)
        canvas.arrow([(190, y + 13), (326, y + 13)], INK)
        canvas.arrow([(526, y + 13), (662, y + 13)], INK)
    for x, title, note in (
        (138, "token", "96 numbers"),
        (426, "inner", "mlp_dim = 192"),
        (714, "token", "96 numbers"),
    ):
        canvas.text(x, 28, title, 15, font_weight="bold")
        canvas.text(x, 48, note, 12.5, PALE_INK)
    canvas.text(258, 60, "a matrix, GELU", 12.5, PALE_INK)
    canvas.text(594, 60, "a matrix", 12.5, PALE_INK)
    canvas.text(
        426,
        250,
        "the same two matrices for every token, as a 1 x 1 convolution",
        13,
        PALE_INK,
    )
    return canvas


def who_looks():
    """Who may look at whom in a decoder: three tables of True and False."""
    canvas = Canvas(830, 292, "Who may look at whom, in three attentions")
    words = {True: "#3b6fd8", False: "#e5e7eb"}
    at_memory = {True: COLORS["queries"][1]}
    causal = [[j <= i for j in range(8)] for i in range(8)]
    tables = (
        (150, "writing, word by word", "use_causal_mask=True", causal, words),
        (400, "DETR: all at once", "no mask", [[True] * 8] * 8, words),
        (
            655,
            "cross attention",
            "queries at memory",
            [[True] * 14] * 8,
            at_memory,
        ),
    )
    for x, title, note, rows, colors in tables:
        left = x - 9 * len(rows[0])
        canvas.cells(left, 72, 18, rows, colors, gap=1.5)
        canvas.text(x, 30, title, 15, font_weight="bold")
        canvas.text(x, 52, note, 12.5, PALE_INK, mono=True)
        canvas.text(x, 238, "is looked at", 12.5, PALE_INK)
        canvas.text(left - 10, 148, "looks", 12.5, PALE_INK, "end")
    canvas.text(150, 262, "a word sees those before it", 13)
    canvas.text(400, 262, "queries see each other,", 13)
    canvas.text(400, 280, "so that two don't take one object", 13)
    canvas.text(655, 262, "each query reads the whole image", 13)
    return canvas
