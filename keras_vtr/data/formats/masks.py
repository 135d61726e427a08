"""Masks of records in compressed form, and their validation.

pycocotools trusts what it is given: it allocates memory for any outline and
reads beyond the end of a wrong run-length encoding. So both are checked before.
"""

import dataclasses

import numpy as np
from pycocotools import mask as rle_of

from keras_vtr.data.formats import values
from keras_vtr.data.formats.boxes import TOLERANCE

# Of an outline, in heights and widths of its image.
LONGEST_OUTLINE = 1000


@dataclasses.dataclass(frozen=True)
class RunLengthMasks:
    """Masks of the objects of an image, as COCO's run-length encodings.

    Args:
        shape: (height, width) of the image.
        rles: List of n encodings, bytes.
    """

    shape: tuple
    rles: list

    def __len__(self):
        return len(self.rles)

    def encoded(self):
        """The n encodings."""
        return self.rles

    def decoded(self):
        """(n, height, width) bool."""
        if not self.rles:
            return np.zeros((0, *self.shape), bool)
        masks = rle_of.decode([_to_coco(self.shape, x) for x in self.rles])
        return masks.transpose(2, 0, 1).astype(bool)


def pack_encoded(record, rles):
    """The masks of a record, from the encodings of its objects."""
    return RunLengthMasks(record["shape"], rles)


def encode(masks):
    """The `RunLengthMasks` of an array (n, height, width) bool."""
    masks = np.asfortranarray(np.asarray(masks, "uint8").transpose(1, 2, 0))
    found = rle_of.encode(masks)
    return RunLengthMasks(masks.shape[:2], [x["counts"] for x in found])


def read_segmentation(value, shape, clip=False):
    """The encoding of an annotation's `segmentation`.

    Args:
        value: A list of outlines, each x, y, x, y, ... in pixels; or a dict
            with `"size"` and `"counts"`, a list of numbers or COCO's text.
        shape: (height, width) of the image.
        clip: Whether outlines beyond the image are clipped to it.

    Returns:
        Bytes, COCO's compressed form.

    Raises:
        ValueError: Whose text says what is wrong with the value.
    """
    if isinstance(value, dict):
        return _read_rle(value, shape)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("is neither outlines nor a run-length encoding")
    outlines = [_read_outline(x, shape, clip) for x in value]
    found = rle_of.merge(rle_of.frPyObjects(outlines, *shape))
    return _with_area(found["counts"], shape)


def crosses_itself(value, shape):
    """Whether the area of an outline is not that of the pixels within.

    Of an outline that crosses itself, such as a bow tie, parts count negative
    in the formula of the area, and pycocotools fills them all the same.

    Args:
        value: As for `read_segmentation`, which has checked it.
        shape: (height, width) of the image.
    """
    if isinstance(value, dict):
        return False
    for outline in value:
        points = np.array(_read_outline(outline, shape, clip=True))
        x, y = points[::2], points[1::2]
        area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
        (filled,) = rle_of.frPyObjects([points.tolist()], *shape)
        if rle_of.area(filled) - area > _lengths(points).sum() + 4:
            return True
    return False


def _read_outline(value, shape, clip):
    if not isinstance(value, list | tuple) or len(value) % 2:
        raise ValueError("has an outline that is no list of x, y, x, y, ...")
    if len(value) < 6:
        raise ValueError("has an outline of fewer than three points")
    try:
        points = np.array([values.number(x) for x in value])
    except ValueError:
        raise ValueError("has an outline with a value that is no number") from (
            None
        )
    limits = np.tile(shape[::-1], len(points) // 2)
    inside = np.clip(points, 0, limits)
    if not clip and abs(points - inside).max() > TOLERANCE:
        raise ValueError("has an outline that is not within its image")
    # pycocotools allocates memory for each pixel of an outline.
    if _lengths(inside).sum() > LONGEST_OUTLINE * sum(shape):
        raise ValueError("has an outline that is longer than any object's")
    return inside.tolist()


def _lengths(outline):
    """Of the sides of an outline x, y, x, y, ..."""
    points = outline.reshape(-1, 2)
    return np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)


def _read_rle(value, shape):
    try:
        height, width = (values.whole_number(x) for x in value["size"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("has no size (height, width)") from None
    if (height, width) != tuple(shape):
        raise ValueError(
            f"has the size {height} x {width} of height and width, but its "
            f"image {shape[0]} x {shape[1]}"
        )
    counts = value.get("counts")
    if isinstance(counts, list | tuple):
        runs = _whole_numbers(counts)
    elif isinstance(counts, str | bytes):
        runs = _uncompressed(counts)
    else:
        raise ValueError("has no counts")
    if (runs < 0).any() or runs.sum() != shape[0] * shape[1]:
        raise ValueError(
            "has runs of other lengths than the pixels of its image, "
            f"{shape[0] * shape[1]}"
        )
    rle = {"size": list(shape), "counts": runs.tolist()}
    found = rle_of.frPyObjects(rle, *shape)
    return _with_area(found["counts"], shape)


def _whole_numbers(counts):
    try:
        runs = [values.whole_number(x) for x in counts]
    except ValueError:
        raise ValueError("has counts that are no whole numbers") from None
    if runs and max(runs) > values.LONGEST_SIDE:
        raise ValueError("has a count that is larger than any image")
    return np.array(runs, "int64")


def _uncompressed(text):
    """The lengths of the runs, from COCO's text of them.

    Each number is written in digits of 5 bits, the lowest first, with bit 5 set
    but in the last one, whose bit 4 is the sign; from the fourth number on it
    is the difference from the number two before (pycocotools, `rleToString`).
    """
    text = text.encode("utf-8") if isinstance(text, str) else text
    digits = np.frombuffer(text, "uint8").astype("int64") - 48
    if not len(digits) or (digits < 0).any() or (digits > 63).any():
        raise ValueError("has counts that are no run-length encoding")
    is_last = digits < 32
    ends = np.flatnonzero(is_last)
    lengths = np.diff(ends, prepend=-1)
    if not is_last[-1] or lengths.max() > 7:  # 35 bits
        raise ValueError("has counts that are no run-length encoding")
    first = np.repeat(ends - lengths + 1, lengths)
    shifts = 5 * (np.arange(len(digits)) - first)
    parts = (digits & 31) << shifts
    runs = np.add.reduceat(parts, ends - lengths + 1)
    is_negative = (digits[ends] & 16) > 0
    runs = np.where(is_negative, runs - (1 << 5 * lengths), runs)
    for start in (1, 2):  # runs of one kind add up
        runs[start::2] = np.cumsum(runs[start::2])
    return runs


def _with_area(counts, shape):
    if not rle_of.area(_to_coco(shape, counts)):
        raise ValueError("has a mask without a pixel")
    return counts


def _to_coco(shape, counts):
    return {"size": list(shape), "counts": counts}
