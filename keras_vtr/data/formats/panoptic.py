"""COCO's panoptic annotations: a PNG of segment numbers for each image."""

import dataclasses
import os
import pathlib

import numpy as np

from keras_vtr.data.formats import masks as mask_forms
from keras_vtr.data.formats import values
from keras_vtr.data.formats.coco import look_up
from keras_vtr.data.formats.coco import read_images
from keras_vtr.data.formats.coco import read_json
from keras_vtr.data.formats.coco import read_names
from keras_vtr.data.formats.coco import read_rows
from keras_vtr.data.formats.collector import RecordCollector
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.pictures.files import read_picture

ROW = ("image_id", "file_name", "segments_info")
SEGMENT = ("id", "category_id", "bbox")


@dataclasses.dataclass(frozen=True)
class SegmentMasks:
    """Masks of segments, read from the PNG when they are needed.

    Args:
        path: Of the PNG, whose pixels are red + 256 green + 65,536 blue.
        shape: (height, width) of the image.
        numbers: List of n segments.
        listed: All segments that the PNG may have, besides 0 for none.
    """

    path: str
    shape: tuple
    numbers: list
    listed: frozenset

    def __len__(self):
        return len(self.numbers)

    def encoded(self):
        return mask_forms.encode(self.decoded()).encoded()

    def decoded(self):
        """(n, height, width) bool.

        Raises:
            AnnotationError: If the PNG can't be read, has another size, or has
                other segments than are listed.
        """
        try:
            pixels = read_picture(self.path)
        except OSError as error:
            raise AnnotationError(str(error)) from error
        drawn = pixels.astype("int32") @ np.array([1, 256, 65536], "int32")
        if drawn.shape != tuple(self.shape):
            raise AnnotationError(
                f"{self.path} must have the size of its image, height and "
                f"width {self.shape}. Received: {drawn.shape}"
            )
        found = set(np.unique(drawn).tolist()) - {0}
        for numbers, why in (
            (found - self.listed, "draws segments that are not listed"),
            (self.listed - found, "lacks segments that are listed"),
        ):
            if numbers:
                raise AnnotationError(
                    f"{self.path} {why}. Received: id "
                    f"{', '.join(map(str, sorted(numbers)[:5]))}"
                )
        numbers = np.array(self.numbers, "int32").reshape(-1, 1, 1)
        return drawn == numbers


def read_panoptic(annotations, images, segments, *, invalid="raise"):
    """Reads a data set in COCO's panoptic format.

    Kirillov et al. 2019, "Panoptic Segmentation", and
    https://cocodataset.org/#format-data: each image has a PNG, each pixel of
    which belongs to one segment, and a list of the segments with their classes.
    Each segment, of things and of stuff, is an object with a mask. The PNGs are
    read when their masks are needed.

    Args:
        annotations: Path of the JSON file.
        images: Folder of the pictures.
        segments: Folder of the PNGs.
        invalid: As for `keras_vtr.data.read_coco`.

    Returns:
        A `keras_vtr.data.DetectionRecords` with masks, whose `things` are the
        classes of which each object is a segment of its own.

    Raises:
        AnnotationError: As in `read_coco`. From the data set: with the PNG and
            the segment, if the PNG can't be read, has another size than its
            image, or other segments than are listed.

    Example:

    >>> data = keras_vtr.data.read_panoptic("train.json", "train", "segments")
    ... # doctest: +SKIP
    """
    path, folder = pathlib.Path(annotations), pathlib.Path(segments)
    collector = RecordCollector(path, images, invalid, _pack)
    content = read_json(path)
    records = read_images(collector, content)
    categories = read_rows(collector, content, "categories")
    names = read_names(collector, categories)
    classes = {number: i for i, number in enumerate(names)}
    for location, row in _annotations(collector, content):
        record = look_up(collector, location, row, "image_id", records)
        if record is None:
            collector.dropped["is of a dropped image"] += 1
        elif "segments" in record:
            collector.refuse(location, "is of an image that has one", row)
        else:
            name = f"{location}.file_name"
            record["segments"] = _path(
                collector, folder, name, row["file_name"]
            )
            _add_segments(collector, record, location, row, classes)
    for record in collector.records:
        if "segments" not in record:
            collector.refuse(record["path"], "has no annotation", path.name)
    data = collector.finish(tuple(names.values()), classes)
    data.things = _things(collector, categories, classes)
    return data


def _annotations(collector, content):
    """The location and the row of each annotation."""
    rows = content.get("annotations")
    if not isinstance(rows, list):
        raise AnnotationError(f"{collector.path} has no list 'annotations'.")
    for i, row in enumerate(rows):
        location = f"annotations[{i}]"
        is_row = isinstance(row, dict)
        missing = [x for x in ROW if not is_row or x not in row]
        if missing or not isinstance(row["segments_info"], list):
            collector.refuse(location, f"lacks {missing or ROW[-1:]}", row)
        yield location, row


def _path(collector, folder, location, file_name):
    """The path of a PNG, which may be missing until it is read."""
    inside = os.path.abspath(folder)
    if not isinstance(file_name, str) or not file_name.strip():
        collector.refuse(location, "is not a file name", file_name)
    path = os.path.normpath(os.path.join(inside, file_name))
    if not pathlib.Path(path).is_relative_to(inside):
        collector.refuse(location, f"is outside of {inside}", file_name)
    return path


def _add_segments(collector, record, location, row, classes):
    """Adds the segments of an image, with their numbers as masks."""
    record["listed"] = set()
    for i, segment in enumerate(row["segments_info"]):
        place = f"{location}.segments_info[{i}]"
        is_row = isinstance(segment, dict)
        missing = [x for x in SEGMENT if not is_row or x not in segment]
        if missing:
            collector.refuse(place, f"lacks {missing}", segment)
        number = collector.read(
            values.whole_number, f"{place}.id", segment["id"]
        )
        if number in record["listed"] or not 0 < number < 2**24:
            why = "must be another number than 0, which marks pixels of no "
            why += "segment, and than those before"
            collector.refuse(f"{place}.id", why, segment["id"])
        record["listed"].add(number)
        label = look_up(collector, place, segment, "category_id", classes)
        flag, area = segment.get("iscrowd", 0), segment.get("area")
        collector.add_box(
            record,
            f"{place}.bbox",
            segment["bbox"],
            label,
            crowd=collector.read(values.flag, f"{place}.iscrowd", flag),
            area=collector.read(values.area, f"{place}.area", area),
            mask=number,
        )


def _pack(record, numbers):
    listed = frozenset(record["listed"])
    return SegmentMasks(record["segments"], record["shape"], numbers, listed)


def _things(collector, categories, classes):
    """The classes whose category is marked as a thing, or not marked."""
    found = []
    for number, (location, row) in categories.items():
        flag = row.get("isthing", 1)
        if collector.read(values.flag, f"{location}.isthing", flag):
            found.append(classes[number])
    return sorted(found)
