"""Curves, reliability and confusion as elements of a page."""

import numpy as np

from keras_vtr.evaluation.page import details
from keras_vtr.evaluation.page import element
from keras_vtr.evaluation.page import number
from keras_vtr.evaluation.page import section
from keras_vtr.evaluation.page import table
from keras_vtr.evaluation.thresholds import GRID

CURVES = {"precision": "blue", "recall": "green", "F1": "orange"}
WIDTH, HEIGHT, LEFT, BELOW = 200, 120, 24, 18
MOST_CLASSES = 25  # of a matrix that is shown at once
NUM_PAIRS = 10


def legend(colors):
    """What the colors mean, in a line."""
    keys = []
    for name, color in colors.items():
        style = f"background: var(--{color})"
        keys += [element("span", class_="key", style=style), name]
    return element("div", *keys, class_="soft")


def curve_chart(values, best, caption):
    """Precision, recall and F1, (3, 101), over the thresholds.

    The best threshold is a line, and its interval a band.
    """
    marks = []
    if not np.isnan(best.threshold):
        low, high = _x(np.nan_to_num(best.threshold_interval, nan=0.0))
        band = max(high - low, 0.0)
        style = "fill: var(--orange); opacity: .15"
        marks += [
            element(
                "rect",
                x=_round(low),
                y=0,
                width=_round(band),
                height=HEIGHT,
                style=style,
            ),
            _line(_x(best.threshold), 0, _x(best.threshold), HEIGHT, "orange"),
        ]
    lines = [
        _curve(_x(GRID), _y(row), color)
        for row, color in zip(values, CURVES.values(), strict=True)
    ]
    return element(
        "figure",
        _axes(*marks, *lines),
        element("figcaption", caption),
    )


def calibration_section(calibration, about):
    """Reliability as a chart and a table."""
    text = f"Expected calibration error: {number(calibration.error)}"
    if calibration.least_score:
        text += (
            f", of scores from {calibration.least_score} on: lower ones are of "
            "queries that answer for nothing"
        )
    return section(
        "Calibration",
        about,
        element("p", f"{text}."),
        _reliability_chart(calibration),
        details("The numbers", _reliability_table(calibration)),
    )


def _reliability_chart(calibration):
    """The share that is right over the score; on the line both agree."""
    bars = []
    width = WIDTH / len(calibration.counts)
    for i, share in enumerate(calibration.shares_right):
        if not np.isnan(share):
            text = f"{share:.2f} of {calibration.counts[i]}"
            bars.append(
                element(
                    "rect",
                    element("title", text),
                    x=_round(LEFT + i * width + 1),
                    y=_round(_y(share)),
                    width=_round(width - 2),
                    height=_round(HEIGHT - _y(share)),
                    style="fill: var(--blue); opacity: .75",
                )
            )
    diagonal = _line(LEFT, HEIGHT, LEFT + WIDTH, 0, "orange")
    return element("div", _axes(*bars, diagonal), class_="chart")


def _reliability_table(calibration):
    """The same in numbers."""
    size = len(calibration.counts)
    rows = zip(
        [f"{i / size:.1f} to {(i + 1) / size:.1f}" for i in range(size)],
        calibration.counts,
        map(number, calibration.mean_scores),
        map(number, calibration.shares_right),
        strict=True,
    )
    return table(["score", "number", "mean score", "share right"], rows)


def confusion_table(counts, names, last_row=None, last_column=None):
    """Counts as a matrix, colored by their share of the row.

    Args:
        counts: (n, m) integers: rows true, columns found.
        names: K class names.
        last_row: Name of a row after those of the classes.
        last_column: Name of a column likewise.
    """
    rows, columns = (
        [*names, *([last] if last else [])] for last in (last_row, last_column)
    )
    has_row, has_column = counts.any(axis=1), counts.any(axis=0)
    size = len(names)  # a class is in both or in neither
    has_row[:size] = has_column[:size] = has_row[:size] | has_column[:size]
    totals = counts.sum(axis=1)
    body = [
        [
            element("th", rows[i]),
            *(
                _cell(counts[i, j], totals[i], rows[i], columns[j], i == j)
                for j in np.flatnonzero(has_column)
            ),
        ]
        for i in np.flatnonzero(has_row)
    ]
    header = [
        "true \\ found",
        *(columns[j] for j in np.flatnonzero(has_column)),
    ]
    matrix = table(header, body, class_="matrix")
    if len(body) > MOST_CLASSES:
        matrix = details(f"The matrix of {len(body)} rows", matrix)
    return element("div", _most_confused(counts, names), matrix)


def _most_confused(counts, names):
    """The pairs of two classes that are mistaken most often, in a line."""
    pairs = counts[: len(names), : len(names)].copy()
    np.fill_diagonal(pairs, 0)
    order = np.argsort(-pairs, axis=None, kind="stable")[:NUM_PAIRS]
    texts = [
        f"{names[i]} taken for {names[j]} ({pairs[i, j]})"
        for i, j in zip(*np.unravel_index(order, pairs.shape), strict=True)
        if pairs[i, j]
    ]
    if not texts:
        return element("p", "No class is taken for another one.")
    return element("p", f"Most often: {', '.join(texts)}.")


def _cell(count, total, row, column, is_right):
    share = count / total if total else 0.0
    color = "heat" if is_right else "warm"
    style = f"background: rgba(var(--{color}), {0.75 * share:.2f})"
    text = element("span", f"{count}" if count else "")
    title = f"{row} \N{RIGHTWARDS ARROW} {column}: {share:.0%} of {total}"
    return element("td", text, style=style, title=title)


def _axes(*children):
    """A picture of the unit square, with 0, 0.5 and 1 at both axes."""
    marks = []
    for value in (0, 0.5, 1):
        x, y = _x(value), _y(value)
        marks += [
            _line(LEFT, y, LEFT + WIDTH, y, "line"),
            _text(LEFT - 4, y + 4, value, "end"),
            _text(x, HEIGHT + 13, value, "middle"),
        ]
    box = f"0 -6 {LEFT + WIDTH + 8} {HEIGHT + BELOW + 6}"
    return element("svg", *marks, *children, viewBox=box, role="img")


def _text(x, y, text, anchor):
    style = f"fill: var(--soft); font-size: 9px; text-anchor: {anchor}"
    return element("text", text, x=_round(x), y=_round(y), style=style)


def _curve(x, y, color):
    points = " ".join(
        f"{_round(a)},{_round(b)}"
        for a, b in zip(x, y, strict=True)
        if not np.isnan(b)
    )
    style = f"fill: none; stroke: var(--{color}); stroke-width: 1.6"
    return element("polyline", points=points, style=style)


def _line(x1, y1, x2, y2, color):
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    style = f"stroke: var(--{color}); stroke-width: 1"
    return element(
        "line", **{k: _round(v) for k, v in ends.items()}, style=style
    )


def _x(value):
    return LEFT + np.asarray(value) * WIDTH


def _y(value):
    return HEIGHT * (1 - np.asarray(value))


def _round(value):
    return f"{float(value):.1f}"
