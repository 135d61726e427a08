"""Images and their true boxes, checked before anything is trained on them."""

import collections
import os
import pathlib
import unicodedata

import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats import values

# A box may stand over the image's edge by rounding, in pixels.
TOLERANCE = 1.0
# What a box must have of each side of its image. Steps of float32 are 6e-8 of
# it, and some are lost when an image is mirrored, cut and scaled.
LEAST_SHARE = 1e-6
POLICIES = ("raise", "drop", "clip")


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
        clipped: How many boxes were cut to their images.
    """

    def __init__(self, records, class_names, category_ids, dropped, clipped=0):
        self.records = records
        self.class_names = check_class_names(class_names)
        self.category_ids = category_ids
        self.dropped = dropped
        self.clipped = clipped

    @property
    def num_boxes(self):
        """How many there are to learn; crowds are not among them."""
        return sum(len(x["labels"]) for x in self.records)

    def __len__(self):
        return len(self.records)

    def __str__(self):
        num_crowds = sum(len(x["crowd_labels"]) for x in self.records)
        left_out = ", ".join(f"{n} {why}" for why, n in self.dropped.items())
        clipped = f", clipped: {self.clipped}" if self.clipped else ""
        return (
            f"{len(self)} images, {self.num_boxes} boxes, {num_crowds} crowds, "
            f"{len(self.class_names)} classes; left out: {left_out or 'none'}"
            f"{clipped}"
        )


class RecordCollector:
    """Builds `DetectionRecords`, each image and box checked on its way in.

    Args:
        source: The file or folder, for messages.
        images: Folder of the pictures.
        invalid: `"raise"`; `"drop"` to leave out and count; or `"clip"`, which
            cuts boxes to their images first.
    """

    def __init__(self, source, images, invalid):
        if invalid not in POLICIES:
            raise ValueError(
                f"`invalid` must be one of {POLICIES}. Received: {invalid!r}"
            )
        self.source = source
        # Links are not followed: names are judged as they are written.
        self.folder = pathlib.Path(os.path.abspath(images))
        if not self.folder.is_dir():
            raise AnnotationError(f"{images} is no folder of pictures.")
        self.invalid = invalid
        self.dropped = collections.Counter()
        self.clipped = 0
        self.records = []

    def refuse(self, place, why, value):
        """What can't be read at all, under any policy."""
        raise AnnotationError(
            f"{self.source}: {place} {why}. Received: {shorten(value)}"
        )

    def drop(self, place, why, value):
        """What can be left out, if the user wants it."""
        if self.invalid == "raise":
            self.refuse(place, f"{why}. Mend it, or give invalid='drop'", value)
        self.dropped[why] += 1

    def read(self, reader, place, value):
        """What one of `keras_vtr.data.values` understands, or a refusal."""
        try:
            return reader(value)
        except ValueError as expected:
            self.refuse(place, f"must be {expected}", value)

    def add_image(self, place, file_name, height, width):
        """Returns the record of an image, or None if it was dropped."""
        shape = tuple(
            self.read(values.pixels, f"{place}.{name}", side)
            for name, side in (("height", height), ("width", width))
        )
        path = self._picture(f"{place}.file_name", file_name)
        if path is None:
            return None
        keys = ("boxes", "labels", "areas", "crowd_boxes", "crowd_labels")
        record = {"path": path, "shape": shape, **{key: [] for key in keys}}
        self.records.append(record)
        return record

    def add_box(self, record, place, box, label, *, crowd=False, area=None):
        """Adds an `xywh` box in pixels, cut to its image; or drops it."""
        height, width = record["shape"]
        try:
            corners, is_over = _cut(box, height, width)
            if is_over and self.invalid != "clip":
                raise ValueError("is not within its image")
            x0, y0, x1, y1 = corners
            sides = (x1 - x0, y1 - y0)
            if sides[0] <= LEAST_SHARE * width or (
                sides[1] <= LEAST_SHARE * height
            ):
                raise ValueError("has no area")
        except ValueError as fault:
            value = f"{shorten(box)} in an image of {width} x {height} pixels"
            self.drop(place, str(fault), Verbatim(value))
            return
        self.clipped += is_over
        kind = "crowd_" if crowd else ""
        record[f"{kind}boxes"].append(corners)
        record[f"{kind}labels"].append(label)
        if not crowd:
            most = sides[0] * sides[1]
            area = most if area is None else area
            record["areas"].append(min(area, most) if is_over else area)

    def finish(self, class_names, category_ids):
        """The `DetectionRecords` of all that was added."""
        if not self.records:
            reasons = ", ".join(f"{n} {why}" for why, n in self.dropped.items())
            raise AnnotationError(
                f"{self.source} has no picture in {self.folder}. Left out: "
                f"{reasons or 'none, it names no picture at all'}"
            )
        for record in self.records:
            for key in ("boxes", "crowd_boxes"):
                record[key] = np.array(record[key], "float32").reshape(-1, 4)
            for key in ("labels", "crowd_labels"):
                record[key] = np.array(record[key], "int32")
            record["areas"] = np.array(record["areas"], "float32")
        return DetectionRecords(
            self.records,
            class_names,
            tuple(category_ids),
            self.dropped,
            self.clipped,
        )

    def _picture(self, place, file_name):
        """Its path; None if it isn't there and is dropped."""
        is_text = isinstance(file_name, str) and file_name.strip()
        if not is_text or "\0" in file_name:
            self.refuse(place, "is no name of a file", file_name)
        for spelling in _spellings(file_name):
            path = os.path.normpath(self.folder / spelling)
            if not pathlib.Path(path).is_relative_to(self.folder):
                self.refuse(place, f"lies outside of {self.folder}", file_name)
            if os.path.isfile(path):
                return path
        self.drop(place, "is not there", str(self.folder / file_name))
        return None


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


def _spellings(file_name):
    """As it is written, and as another system writes the same name."""
    yield file_name
    for name in (file_name.strip(), file_name.strip().replace("\\", "/")):
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, name)


def _cut(box, height, width):
    """The corners of an `xywh` box within its image, and if it stood over."""
    try:
        x, y, box_width, box_height = values.four_numbers(box)
    except ValueError:
        raise ValueError("is no box") from None
    if box_width <= 0 or box_height <= 0:
        raise ValueError("has no area")
    corners = (x, y, x + box_width, y + box_height)
    limits = (width, height, width, height)
    inside = tuple(
        min(max(side, 0.0), float(limit))
        for side, limit in zip(corners, limits, strict=True)
    )
    over = max(abs(a - b) for a, b in zip(corners, inside, strict=True))
    return inside, over > TOLERANCE
