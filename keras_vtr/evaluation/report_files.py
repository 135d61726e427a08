"""report.html, evaluation.json and evaluation.csv."""

import csv
import io
import pathlib

from keras_vtr.json_text import json_text

FILES = ("report.html", "evaluation.json", "evaluation.csv")


def write_files(folder, html, numbers, rows):
    """Writes a report in three forms.

    Args:
        folder: Created if it doesn't exist.
        html: The text of the page.
        numbers: What JSON can hold; numbers that aren't finite become null.
        rows: List of dicts with the same keys, the lines of the table; numbers
            that aren't finite become empty.

    Returns:
        The `pathlib.Path` of the page.
    """
    folder = pathlib.Path(folder)
    texts = (html, json_text(numbers), _csv_text(rows))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, texts, strict=True):
        hidden = folder / f".writing-{name}"
        hidden.write_text(text, encoding="utf-8", newline="")
        hidden.replace(folder / name)
    return folder / FILES[0]


def _csv_text(rows):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0] if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: "" if x != x else x for key, x in row.items()}  # NaN
        )
    return file.getvalue()
