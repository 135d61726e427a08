"""COCO-format annotations."""

import json
import pathlib

from keras_vtr.data.formats import values
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import RecordCollector
from keras_vtr.data.formats.records import shorten

NEEDED = {
    "images": ("file_name", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": (),
}


def read_coco(annotations, images, *, invalid="raise"):
    """Reads a data set in COCO's detection format.

    Lin et al. 2014, "Microsoft COCO", and https://cocodataset.org/#format-data.
    Category ids, which may have gaps, become the classes 0..K-1 in the order of
    the ids. Crowds (`iscrowd`) are stored separately: they are not learned, and
    evaluation ignores detections in them. Whole numbers may be written as 1.0
    or "1".

    Args:
        annotations: Path of the JSON file.
        images: Folder that its `file_name`s are in.
        invalid: Treatment of a box without area or outside of its image, and of
            a missing picture: `"raise"`; `"drop"`, which leaves it out and
            counts it; or `"clip"`, which first clips boxes to their images, and
            counts these, too. An excess of a pixel or less is always clipped.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with file, location, id and value: if
            the file is not COCO JSON, a value has another type, an annotation
            names a missing image or category, a picture is missing or not
            within the folder, a box is invalid, or no picture is left.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    """
    path = pathlib.Path(annotations)
    collector = RecordCollector(path, images, invalid)
    content = _read(path)
    tables = {
        key: _read_rows(collector, content, key, fields)
        for key, fields in NEEDED.items()
    }
    records = {
        number: collector.add_image(
            location, row["file_name"], row["height"], row["width"]
        )
        for number, (location, row) in tables["images"].items()
    }
    names = {
        number: _read_name(collector, number, *tables["categories"][number])
        for number in sorted(tables["categories"])
    }
    classes = {number: i for i, number in enumerate(names)}
    for location, row in tables["annotations"].values():
        record = _look_up(collector, location, row, "image_id", records)
        label = _look_up(collector, location, row, "category_id", classes)
        crowd = row.get("iscrowd", 0)
        crowd = collector.read(values.flag, f"{location}.iscrowd", crowd)
        area = collector.read(values.area, f"{location}.area", row.get("area"))
        if record is None:
            collector.dropped["is of a dropped image"] += 1
            continue
        box = row["bbox"]
        location = f"{location}.bbox"
        collector.add_box(record, location, box, label, crowd=crowd, area=area)
    return collector.finish(tuple(names.values()), classes)


def _read(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error


def _read_rows(collector, content, key, fields):
    """The rows of a list and their locations, by id."""
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise AnnotationError(
            f"{collector.path} has no list {key!r}. Received: "
            f"{shorten(content)}"
        )
    found = {}
    for i, row in enumerate(rows):
        is_row = isinstance(row, dict)
        missing = [x for x in ("id", *fields) if not is_row or x not in row]
        if missing:
            collector.refuse(f"{key}[{i}]", f"lacks {missing}", row)
        location = f"{key}[{i}].id"
        number = collector.read(values.whole_number, location, row["id"])
        if number in found:
            collector.refuse(location, "is the id of an earlier one", row["id"])
        found[number] = f"{key}[{i}] (id {shorten(row['id'])})", row
    return found


def _read_name(collector, number, location, row):
    """The name of a category, or its id if it has none."""
    name = row.get("name", str(number))
    return collector.read(values.name, f"{location}.name", name)


def _look_up(collector, location, row, key, known):
    """The image or class that an annotation names by its id."""
    location = f"{location}.{key}"
    number = collector.read(values.whole_number, location, row[key])
    if number not in known:
        collector.refuse(location, "is not listed in the file", row[key])
    return known[number]
