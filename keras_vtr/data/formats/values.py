"""Readers of single values of annotation files.

Each converts a value of a file, checked by its type, not by its truth. Numbers
may be texts, as in XML and from some exporters. On other values a reader raises
a `ValueError` whose text is the expected value: "a whole number".
"""

import math
import numbers
import re

# JSON's numbers, and other programs' signs and zeros.
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.I | re.A)
WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
FLAGS = {"0": False, "1": True, "false": False, "true": True}
# The limit of a PNG's header.
LONGEST_SIDE = 2**31 - 1


def number(value):
    """A finite float, from 1, 1.0 or "1.0"."""
    is_text = isinstance(value, str) and NUMBER.fullmatch(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        found = float(value) if is_text or is_number else math.nan
    except OverflowError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("a finite number")
    return found


def whole_number(value):
    """An int, from 1, 1.0, "1" or "1.0"."""
    if isinstance(value, str) and WHOLE.fullmatch(value):
        value = int(value) if len(value) < 400 else value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    try:
        found = number(value)
    except ValueError:
        found = math.nan
    if not found.is_integer():
        raise ValueError("a whole number")
    return int(found)


def flag(value):
    """A bool, from 0, 1, False, True or their texts, or null for False."""
    if value is None:
        return False
    text = str(value).strip().lower() if isinstance(value, bool | str) else None
    if text in FLAGS:
        return FLAGS[text]
    try:
        return {0: False, 1: True}[whole_number(value)]
    except (ValueError, KeyError):
        raise ValueError("0 or 1") from None


def name(value):
    """A text that isn't blank, stripped."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that isn't blank")
    return value.strip()


def pixels(value):
    """A side of a picture, an int."""
    try:
        found = whole_number(value)
    except ValueError:
        found = 0
    if not 1 <= found <= LONGEST_SIDE:
        raise ValueError(f"a whole number of pixels, 1 to {LONGEST_SIDE}")
    return found


def area(value):
    """The area of an object's outline, in pixels; None for null and 0."""
    if value is None:
        return None
    try:
        found = number(value)
    except ValueError:
        found = -1
    if not 0 <= found <= LONGEST_SIDE**2:
        raise ValueError("a number of pixels, 0 or more")
    return found or None


def four_numbers(value):
    """The four numbers of a box."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise ValueError("a list of four numbers")
    return tuple(number(side) for side in value)
