"""Images and their true boxes, checked before anything is trained on them."""

import collections
import numbers
import pathlib

import numpy as np

# A box may stand over the image's edge by rounding, in pixels.
TOLERANCE = 1.0
# The most that a PNG's header can hold.
LONGEST_SIDE = 2**31 - 1


class AnnotationError(ValueError):
    """Annotations that a detector can't learn from; names the place."""


class DetectionRecords:
    """Checked records of a data set.

    Args:
        records: A list of dicts: `"path"`, `"shape"` (height, width), `"boxes"`
            (n, 4) float32 absolute `xyxy` pixels, `"labels"` (n,) int32,
            `"areas"` (n,) float32 pixels, by which COCO tells small objects
            from large ones, and `"crowd_boxes"` (m, 4) and `"crowd_labels"`
            (m,): crowds are not learned, and no mistake when found.
        class_names: K names.
        category_ids: The source's id of each class.
        dropped: How many images and boxes were left out, by reason.
    """

    def __init__(self, records, class_names, category_ids, dropped):
        self.records = records
        self.class_names = class_names
        self.category_ids = category_ids
        self.dropped = dropped

    def __len__(self):
        return len(self.records)

    def __str__(self):
        num_boxes = sum(len(x["labels"]) for x in self.records)
        num_crowds = sum(len(x["crowd_labels"]) for x in self.records)
        left_out = ", ".join(f"{n} {why}" for why, n in self.dropped.items())
        return (
            f"{len(self)} images, {num_boxes} boxes, {num_crowds} crowds, "
            f"{len(self.class_names)} classes; left out: {left_out or 'none'}"
        )


class RecordCollector:
    """Builds `DetectionRecords`, each image and box checked on its way in.

    Args:
        source: The file or folder, for messages.
        images: Folder of the pictures.
        invalid: `"raise"`, or `"drop"` to leave out and count.
    """

    def __init__(self, source, images, invalid):
        if invalid not in ("raise", "drop"):
            raise ValueError(
                f"`invalid` must be 'raise' or 'drop'. Received: {invalid!r}"
            )
        self.source = source
        self.folder = pathlib.Path(images).resolve()
        self.invalid = invalid
        self.dropped = collections.Counter()
        self.records = []

    def refuse(self, place, why, value):
        """What can't be read at all, under either policy."""
        raise AnnotationError(
            f"{self.source}: {place} {why}. Received: {shorten(value)}"
        )

    def drop(self, place, why, value):
        """What can be left out, if the user wants it."""
        if self.invalid == "raise":
            self.refuse(place, f"{why}. Mend it, or give invalid='drop'", value)
        self.dropped[why] += 1

    def add_image(self, place, file_name, height, width):
        """Returns the record of an image, or None if it was dropped."""
        for name, side in (("height", height), ("width", width)):
            if not is_whole(side) or not 1 <= side <= LONGEST_SIDE:
                self.refuse(f"{place}.{name}", "is no number of pixels", side)
        path = self._picture(f"{place}.file_name", file_name)
        if path is None:
            return None
        keys = ("boxes", "labels", "areas", "crowd_boxes", "crowd_labels")
        record = {"path": path, "shape": (int(height), int(width))}
        record |= {key: [] for key in keys}
        self.records.append(record)
        return record

    def add_box(self, record, place, box, label, *, crowd=False, area=None):
        """Adds an `xywh` box in pixels, unless it is to be dropped."""
        fault = _fault(box, *record["shape"])
        if fault:
            height, width = record["shape"]
            value = f"{shorten(box)} in an image of {width} x {height} pixels"
            self.drop(place, fault, Verbatim(value))
            return
        x, y, width, height = (float(side) for side in box)
        kind = "crowd_" if crowd else ""
        record[f"{kind}boxes"].append((x, y, x + width, y + height))
        record[f"{kind}labels"].append(label)
        if not crowd:
            record["areas"].append(width * height if area is None else area)

    def finish(self, class_names, category_ids):
        """The `DetectionRecords` of all that was added."""
        for record in self.records:
            for key in ("boxes", "crowd_boxes"):
                record[key] = np.array(record[key], "float32").reshape(-1, 4)
            for key in ("labels", "crowd_labels"):
                record[key] = np.array(record[key], "int32")
            record["areas"] = np.array(record["areas"], "float32")
        return DetectionRecords(
            self.records, tuple(class_names), tuple(category_ids), self.dropped
        )

    def _picture(self, place, file_name):
        if not isinstance(file_name, str) or not file_name.strip("\0"):
            self.refuse(place, "is no name of a file", file_name)
        try:
            picture = (self.folder / file_name).resolve()
            is_there = picture.is_file()
        except (OSError, ValueError):  # too long, or with a zero byte
            self.refuse(place, "is no name of a file", file_name)
        if not picture.is_relative_to(self.folder):
            self.refuse(place, f"lies outside of {self.folder}", file_name)
        if not is_there:
            self.drop(place, "is not there", str(picture))
            return None
        return str(picture)


class Verbatim(str):
    """A text that is quoted as it is."""

    __repr__ = str.__str__


def shorten(value):
    """What was received, in at most a line or two."""
    try:
        text = repr(value)
    except ValueError:  # of a number with more than 4,300 digits
        text = "a number too long to print"
    return text if len(text) <= 160 else f"{text[:160]}..."


def is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether it is a finite number, of a size that a float has."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def _fault(box, image_height, image_width):
    """What is wrong with an `xywh` box in pixels, or None."""
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return "is no box"
    if not all(is_number(side) for side in box):
        return "is no box"
    x, y, width, height = (float(side) for side in box)
    if width <= 0 or height <= 0:
        return "has no area"
    right, lower = image_width + TOLERANCE, image_height + TOLERANCE
    is_inside = min(x, y) >= -TOLERANCE and x + width <= right
    if not is_inside or y + height > lower:
        return "is not within its image"
    x1, y1 = np.float32(x + width), np.float32(y + height)
    if min(x1 - np.float32(x), y1 - np.float32(y)) <= 0:  # 1e-20 of a pixel
        return "has no area"
    return None
