"""A street with two cars and a tree, which most pictures look at.

It is 16 units wide and 12 high, so that a unit can be a patch.
"""

from canvas import Canvas

WIDTH, HEIGHT = 16, 12
CAR, TREE = "car", "tree"
# The true boxes: class, and x, y of two corners.
OBJECTS = [
    (CAR, (0.9, 7.9, 5.5, 11.1)),
    (TREE, (6.2, 2.6, 9.8, 8.3)),
    (CAR, (10.5, 7.9, 15.1, 11.1)),
]


def _car(x):
    red, window, black = "#d9483b", "#cfe8f7", "#2b2f36"
    cabin = [(x + 1, 9.2), (x + 1.6, 8), (x + 3.2, 8), (x + 3.9, 9.2)]
    glass = [(x + 1.4, 9.2), (x + 1.8, 8.35), (x + 3, 8.35), (x + 3.4, 9.2)]
    return [
        ("polygon", cabin, red),
        ("polygon", glass, window),
        ("box", (x, 9.2, x + 4.4, 10.5), red),
        ("circle", (x + 1.1, 10.5, 0.55), black),
        ("circle", (x + 3.3, 10.5, 0.55), black),
    ]


SHAPES = [
    ("box", (0, 0, 16, 8), "#c4e3f8"),
    ("circle", (13.5, 2.2, 1.1), "#ffd75e"),
    ("polygon", [(0, 8), (0, 6), (3.5, 4.6), (7.5, 8)], "#b5d69f"),
    ("box", (0, 7.4, 16, 9), "#93c47d"),
    ("box", (0, 9, 16, 12), "#a7adb5"),
    ("box", (7.6, 6, 8.4, 8.2), "#8a5a3b"),
    ("circle", (8, 4.4, 1.7), "#3f8f4f"),
    *_car(1),
    *_car(10.6),
]


def draw_scene(canvas: Canvas, x, y, unit):
    """Draws the street, its upper left corner at x, y."""
    for kind, place, color in SHAPES:
        if kind == "circle":
            a, b, radius = place
            canvas.circle(x + unit * a, y + unit * b, unit * radius, color)
        elif kind == "box":
            place = [unit * side for side in place]
            width, height = place[2] - place[0], place[3] - place[1]
            canvas.rectangle(x + place[0], y + place[1], width, height, color)
        else:
            corners = [(x + unit * a, y + unit * b) for a, b in place]
            canvas.polygon(corners, color)


def draw_grid(canvas, x, y, unit, patch, color="#ffffff"):
    """Draws the edges of patches of `patch` units over the street."""
    right, bottom = x + WIDTH * unit, y + HEIGHT * unit
    for i in range(patch, WIDTH, patch):
        canvas.line([(x + i * unit, y), (x + i * unit, bottom)], color, 1)
    for i in range(patch, HEIGHT, patch):
        canvas.line([(x, y + i * unit), (right, y + i * unit)], color, 1)


def draw_box(canvas, x, y, unit, corners, color, **values):
    left, top, right, bottom = (unit * side for side in corners)
    size = (right - left, bottom - top)
    canvas.rectangle(x + left, y + top, *size, "none", color, **values)


def patch_colors(patch):
    """The mean color of each patch, rows of (red, green, blue) in 0..255."""
    return [
        [_mean_color(j, i, patch) for j in range(0, WIDTH, patch)]
        for i in range(0, HEIGHT, patch)
    ]


def _mean_color(x, y, patch):
    """Of 7 x 7 points, whose number is odd: no mean is between two integers."""
    steps = [patch * (i + 0.5) / 7 for i in range(7)]
    colors = [_color(x + a, y + b) for a in steps for b in steps]
    return tuple(round(sum(x) / len(colors)) for x in zip(*colors, strict=True))


def _color(x, y):
    """Of the last shape that covers the point."""
    (color,) = [
        color for kind, place, color in SHAPES if _covers(kind, place, x, y)
    ][-1:]
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _covers(kind, place, x, y):
    if kind == "circle":
        return (x - place[0]) ** 2 + (y - place[1]) ** 2 <= place[2] ** 2
    if kind == "box":
        return place[0] <= x < place[2] and place[1] <= y < place[3]
    corners = zip(place, [*place[1:], place[0]], strict=True)
    crossed = [  # by a ray to the right
        (a[1] > y) != (b[1] > y)
        and x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        for a, b in corners
    ]
    return sum(crossed) % 2 == 1


def hexadecimal(color):
    return "#{:02x}{:02x}{:02x}".format(*color)
