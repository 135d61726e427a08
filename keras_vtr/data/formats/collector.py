"""Collects records of images and validates each image and box."""

import collections
import os
import pathlib
import unicodedata

import numpy as np

from keras_vtr.data.formats import values
from keras_vtr.data.formats.boxes import clip_box
from keras_vtr.data.formats.masks import crosses_itself
from keras_vtr.data.formats.masks import read_segmentation
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import DetectionRecords
from keras_vtr.data.formats.records import list_reasons

POLICIES = ("raise", "drop", "clip")


class RecordCollector:
    """Builds `DetectionRecords` and validates each image and box.

    Args:
        path: The file or folder, for messages.
        images: Folder of the pictures.
        invalid: `"raise"`; `"drop"` to leave out and count; or `"clip"`, to
            clip boxes and outlines to their images first.
        pack_masks: Makes the masks of a record and of its objects' masks, in
            a list. Default: objects have no masks.
    """

    def __init__(self, path, images, invalid, pack_masks=None):
        if invalid not in POLICIES:
            raise ValueError(
                f"`invalid` must be one of {POLICIES}. Received: {invalid!r}"
            )
        self.path = path
        self.enter(images)
        self.invalid = invalid
        self.pack_masks = pack_masks
        self.dropped = collections.Counter()
        self.clipped = 0
        self.records = []
        self.remarks = []
        self.notes = []

    def enter(self, images):
        """Goes on with the pictures of a folder."""
        # Links are not resolved: names are checked as written.
        self.folder = pathlib.Path(os.path.abspath(images))
        if not self.folder.is_dir():
            raise AnnotationError(f"{images} is not a folder of pictures.")

    def refuse(self, location, why, value):
        """Raises, under each policy."""
        raise AnnotationError(
            f"{self.path}: {location} {why}. Received: {shorten(value)}"
        )

    def drop(self, location, why, value):
        """Counts what is left out, or raises under the policy "raise"."""
        if self.invalid == "raise":
            why = f"{why}. Correct it, or give invalid='drop'"
            self.refuse(location, why, value)
        self.dropped[why] += 1

    def read(self, reader, location, value):
        """Applies one of `keras_vtr.data.formats.values`, or raises."""
        try:
            return reader(value)
        except ValueError as expected:
            self.refuse(location, f"must be {expected}", value)

    def add_image(self, location, file_name, height, width):
        """Returns the record of an image, or None if it was dropped."""
        shape = tuple(
            self.read(values.pixels, f"{location}.{name}", side)
            for name, side in (("height", height), ("width", width))
        )
        path = self._find_picture(f"{location}.file_name", file_name)
        if path is None:
            return None
        keys = ["boxes", "labels", "areas", "crowd_boxes", "crowd_labels"]
        if self.pack_masks:
            keys += ["masks", "crowd_masks"]
        record = {"path": path, "shape": shape, **{key: [] for key in keys}}
        self.records.append(record)
        return record

    def read_mask(self, record, location, value):
        """The compressed mask of a `segmentation`, or None if it is dropped."""
        clip = self.invalid == "clip"
        try:
            mask = read_segmentation(value, record["shape"], clip)
        except ValueError as fault:
            self.drop(location, str(fault), value)
            return None
        if crosses_itself(value, record["shape"]):
            self.remarks.append(
                f"{self.path}: {location} has an outline that crosses itself"
            )
        return mask

    def add_box(
        self, record, location, box, label, *, crowd=False, area=None, mask=None
    ):
        """Adds an `xywh` box in pixels, clipped to its image; or drops it.

        Its mask is what `pack_masks` takes.
        """
        height, width = record["shape"]
        try:
            corners, exceeds = clip_box(
                box, height, width, self.invalid == "clip"
            )
        except ValueError as fault:
            value = f"{shorten(box)} in an image of {width} x {height} pixels"
            self.drop(location, str(fault), Verbatim(value))
            return
        self.clipped += exceeds
        kind = "crowd_" if crowd else ""
        if self.pack_masks:
            record[f"{kind}masks"].append(mask)
        record[f"{kind}boxes"].append(corners)
        record[f"{kind}labels"].append(label)
        if not crowd:
            x0, y0, x1, y1 = corners
            box_area = (x1 - x0) * (y1 - y0)
            area = box_area if area is None else area
            record["areas"].append(min(area, box_area) if exceeds else area)

    def finish(self, class_names, category_ids):
        """Returns the `DetectionRecords`."""
        if not self.records:
            reasons = list_reasons(self.dropped)
            raise AnnotationError(
                f"{self.path} has no picture in {self.folder}. Left out: "
                f"{reasons or 'none, it names no picture at all'}"
            )
        for record in self.records:
            for key in ("boxes", "crowd_boxes"):
                record[key] = np.array(record[key], "float32").reshape(-1, 4)
            for key in ("labels", "crowd_labels"):
                record[key] = np.array(record[key], "int32")
            record["areas"] = np.array(record["areas"], "float32")
            for key in ("masks", "crowd_masks") if self.pack_masks else ():
                record[key] = self.pack_masks(record, record[key])
        data = DetectionRecords(
            self.records,
            class_names,
            tuple(category_ids),
            self.dropped,
            self.clipped,
        )
        data.remarks, data.notes = tuple(self.remarks), tuple(self.notes)
        return data

    def _find_picture(self, location, file_name):
        """Its path; None if it is missing and dropped."""
        is_text = isinstance(file_name, str) and file_name.strip()
        if not is_text or "\0" in file_name:
            self.refuse(location, "is not a file name", file_name)
        for spelling in _spellings(file_name):
            path = os.path.normpath(self.folder / spelling)
            if not pathlib.Path(path).is_relative_to(self.folder):
                self.refuse(location, f"is outside of {self.folder}", file_name)
            if os.path.isfile(path):
                return path
        self.drop(location, "does not exist", str(self.folder / file_name))
        return None


class Verbatim(str):
    """A text that messages show without quotes."""

    __repr__ = str.__str__


def shorten(value):
    """The `repr` of a value, in at most two lines."""
    try:
        text = repr(value)
    except ValueError:  # a number of more than 4,300 digits
        text = "a number too long to print"
    return text if len(text) <= 160 else f"{text[:160]}..."


def _spellings(file_name):
    """The name as written, and as other systems write it."""
    yield file_name
    for name in (file_name.strip(), file_name.strip().replace("\\", "/")):
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, name)
