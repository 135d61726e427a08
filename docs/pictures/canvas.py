"""A drawing that is written as SVG: shapes, arrows, words."""

import math
from html import escape

SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
INK = "#1f2937"
PALE_INK = "#5b6472"
PAPER = "#ffffff"  # of its own, so that the words can be read on a dark page
# The fill and the border of what is drawn, by what flows through it.
COLORS = {
    "pixels": ("#eef0f3", "#6b7280"),
    "tokens": ("#dbeafe", "#1d4ed8"),
    "positions": ("#ede9fe", "#6d28d9"),
    "queries": ("#ffedd5", "#c2410c"),
    "answers": ("#dcfce7", "#15803d"),
    "targets": ("#fef3c7", "#a16207"),
    "loss": ("#fee2e2", "#b91c1c"),
}


def number(value):
    """A coordinate, rounded to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:g}"


def attributes(**values):
    """Those that are set; `stroke_width` stands for `stroke-width`."""
    words = []
    for name, value in values.items():
        if value is not None:
            text = value if isinstance(value, str) else number(value)
            words.append(f'{name.replace("_", "-")}="{escape(text)}"')
    return " ".join(words)


class Canvas:
    """Collects elements; `svg` is the text of the file.

    Args:
        width: In pixels. A page of GitHub shows 830.
        height: In pixels.
        title: What the picture shows, for readers who can't see it.
    """

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self._elements = []
        self.rectangle(0.5, 0.5, width - 1, height - 1, PAPER, "#d0d7de", 8)

    def svg(self):
        head = attributes(
            xmlns="http://www.w3.org/2000/svg",
            width=self.width,
            height=self.height,
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            font_family=SANS,
        )
        title = f"<title>{escape(self.title)}</title>"
        return "\n".join([f"<svg {head}>", title, *self._elements, "</svg>\n"])

    def add(self, element, content=None, **more):
        words = f"{element} {attributes(**more)}"
        ending = "/>" if content is None else f">{escape(content)}</{element}>"
        self._elements.append(f"<{words}{ending}")

    def rectangle(
        self, x, y, width, height, fill="none", stroke=None, radius=0, **more
    ):
        self.add(
            "rect",
            x=x,
            y=y,
            width=width,
            height=height,
            rx=radius or None,
            fill=fill,
            stroke=stroke,
            **more,
        )

    def circle(self, x, y, radius, fill="none", stroke=None, **more):
        self.add(
            "circle", cx=x, cy=y, r=radius, fill=fill, stroke=stroke, **more
        )

    def polygon(self, points, fill, **more):
        points = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.add("polygon", points=points, fill=fill, **more)

    def line(self, points, color=PALE_INK, width=1.5, dash=None, **more):
        points = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.add(
            "polyline",
            points=points,
            fill="none",
            stroke=color,
            stroke_width=width,
            stroke_dasharray=dash,
            **more,
        )

    def arrow(self, points, color=PALE_INK, width=1.5, dash=None, size=7):
        """A line through the points, with a head at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        x, y = (x1 - x0) / length, (y1 - y0) / length
        neck = (x1 - size * x, y1 - size * y)
        self.line([*points[:-1], neck], color, width, dash)
        half = 0.55 * size
        left = (neck[0] - half * y, neck[1] + half * x)
        right = (neck[0] + half * y, neck[1] - half * x)
        self.polygon([(x1, y1), left, right], color)

    def text(
        self,
        x,
        y,
        words,
        size=13,
        color=INK,
        anchor="middle",
        mono=False,
        **more,
    ):
        self.add(
            "text",
            words,
            x=x,
            y=y,
            font_size=size,
            fill=color,
            text_anchor=None if anchor == "start" else anchor,
            font_family=MONO if mono else None,
            **more,
        )

    def lines(self, x, y, lines, size=13, color=PALE_INK, **more):
        """Several lines of words, the first one at y."""
        for i, words in enumerate(lines):
            self.text(x, y + 1.35 * size * i, words, size, color, **more)

    def node(self, x, y, width, kind, name, *notes, height=None):
        """A box with the name of a class, and small notes below the name."""
        height = 30 + 15 * len(notes) if height is None else height
        fill, border = COLORS[kind]
        self.rectangle(x, y, width, height, fill, border, 5)
        center, top = x + width / 2, y + (height - 15 * len(notes)) / 2 + 4.5
        self.text(center, top, name, 12.5, INK, mono=True, font_weight="bold")
        for i, note in enumerate(notes):
            self.text(center, top + 16 + 14 * i, note, 11.5, border, mono=True)

    def plus(self, x, y):
        """A sum, as block diagrams have it."""
        self.circle(x, y, 10, PAPER, INK, stroke_width=1.5)
        self.line([(x - 5, y), (x + 5, y)], INK)
        self.line([(x, y - 5), (x, y + 5)], INK)

    def cells(self, x, y, step, rows, colors, gap=0):
        """A table of squares. Those of one color are one element.

        Args:
            rows: Lists of numbers, which `colors` are looked up by.
            colors: Dict of colors; numbers that it lacks are not drawn.
            gap: Pixels between two squares, which are `step` apart.
        """
        side = number(step - gap)
        for value, color in colors.items():
            squares = [
                f"M{number(x + step * j)} {number(y + step * i)}"
                f"h{side}v{side}h-{side}z"
                for i, row in enumerate(rows)
                for j, cell in enumerate(row)
                if cell == value
            ]
            if squares:
                self.add("path", d="".join(squares), fill=color)


def between(first, last, share):
    """The color at a share of the way from one "#rrggbb" to another."""
    pairs = [(first[i : i + 2], last[i : i + 2]) for i in (1, 3, 5)]
    mixed = [
        round((1 - share) * int(a, 16) + share * int(b, 16)) for a, b in pairs
    ]
    return "#" + "".join(f"{x:02x}" for x in mixed)
