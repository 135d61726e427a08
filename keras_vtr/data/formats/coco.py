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
    Category ids, which may have holes, become the classes 0..K-1 in the order
    of the ids. Crowds (`iscrowd`) are kept apart: they are not learned, and
    evaluation forgives what is found in them. Whole numbers may be written as
    1.0 or "1".

    Args:
        annotations: Path of the JSON file.
        images: Folder that its `file_name`s are in.
        invalid: What happens to a box without area or outside of its image,
            and to a picture that isn't there: `"raise"`; `"drop"`, which
            leaves it out and counts it; or `"clip"`, which does so too, but
            first cuts to its image what stands over the edge, and counts that.
            What stands over by a pixel or less is cut always.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the place in it, the
            annotation's id and the value: if the file is no COCO JSON, a
            value is of another type, an annotation names an image or a
            category that isn't there, a picture is missing or not within the
            folder, a box is invalid, or no picture is left.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    """
    path = pathlib.Path(annotations)
    collector = RecordCollector(path, images, invalid)
    content = _read(path)
    tables = {
        key: _rows(collector, content, key, fields)
        for key, fields in NEEDED.items()
    }
    records = {
        number: collector.add_image(
            place, row["file_name"], row["height"], row["width"]
        )
        for number, (place, row) in tables["images"].items()
    }
    names = {
        number: _name(collector, number, *tables["categories"][number])
        for number in sorted(tables["categories"])
    }
    classes = {number: i for i, number in enumerate(names)}
    for place, row in tables["annotations"].values():
        record = _named(collector, place, row, "image_id", records)
        label = _named(collector, place, row, "category_id", classes)
        crowd = row.get("iscrowd", 0)
        crowd = collector.read(values.flag, f"{place}.iscrowd", crowd)
        area = collector.read(values.area, f"{place}.area", row.get("area"))
        if record is None:
            collector.dropped["is of a dropped image"] += 1
            continue
        box = row["bbox"]
        place = f"{place}.bbox"
        collector.add_box(record, place, box, label, crowd=crowd, area=area)
    return collector.finish(tuple(names.values()), classes)


def _read(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error


def _rows(collector, content, key, fields):
    """The rows of a list by their ids, with the place of each."""
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise AnnotationError(
            f"{collector.source} holds no list {key!r}. Received: "
            f"{shorten(content)}"
        )
    found = {}
    for i, row in enumerate(rows):
        is_row = isinstance(row, dict)
        lacking = [x for x in ("id", *fields) if not is_row or x not in row]
        if lacking:
            collector.refuse(f"{key}[{i}]", f"lacks {lacking}", row)
        place = f"{key}[{i}].id"
        number = collector.read(values.whole_number, place, row["id"])
        if number in found:
            collector.refuse(place, "is that of an earlier one", row["id"])
        found[number] = f"{key}[{i}] (id {shorten(row['id'])})", row
    return found


def _name(collector, number, place, row):
    """Of a category: its id, if it has none."""
    name = row.get("name", str(number))
    return collector.read(values.name, f"{place}.name", name)


def _named(collector, place, row, key, known):
    """The image or class that an annotation names by its id."""
    place = f"{place}.{key}"
    number = collector.read(values.whole_number, place, row[key])
    if number not in known:
        collector.refuse(place, "is not listed in the file", row[key])
    return known[number]
