"""COCO-format annotations."""

import json
import pathlib

from keras_vtr.data.records import AnnotationError
from keras_vtr.data.records import RecordCollector
from keras_vtr.data.records import is_number
from keras_vtr.data.records import is_whole
from keras_vtr.data.records import shorten

NEEDED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id",),
}


def read_coco(annotations, images, *, invalid="raise"):
    """Reads a data set in COCO's detection format.

    Lin et al. 2014, "Microsoft COCO", and https://cocodataset.org/#format-data.
    Category ids, which may have holes, become the classes 0..K-1 in the order
    of the ids. Crowds (`iscrowd`) are kept apart: they are not learned, and
    evaluation forgives what is found in them.

    Args:
        annotations: Path of the JSON file.
        images: Folder that its `file_name`s are in.
        invalid: What happens to a box without area or outside of its image,
            and to a picture that isn't there: `"raise"`, or `"drop"`, which
            leaves it out and counts it.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the place in it, the
            annotation's id and the value: if the file is no COCO JSON, an
            annotation names an image or a category that isn't there, a picture
            is missing or not within the folder, or a box is invalid.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    """
    path = pathlib.Path(annotations)
    collector = RecordCollector(path, images, invalid)
    content = _read(path)
    _check_rows(collector, content)
    categories = sorted(content["categories"], key=lambda x: x["id"])
    classes = {x["id"]: i for i, x in enumerate(categories)}
    records = {
        x["id"]: collector.add_image(
            _place("images", i, x), x["file_name"], x["height"], x["width"]
        )
        for i, x in enumerate(content["images"])
    }
    for i, row in enumerate(content["annotations"]):
        place = _place("annotations", i, row)
        for key, known in (("image_id", records), ("category_id", classes)):
            if not is_whole(row[key]) or row[key] not in known:
                collector.refuse(
                    f"{place}.{key}", "is not listed in the file", row[key]
                )
        record = records[row["image_id"]]
        if record is None:
            collector.dropped["is of a dropped image"] += 1
            continue
        collector.add_box(
            record,
            f"{place}.bbox",
            row["bbox"],
            classes[row["category_id"]],
            crowd=bool(row.get("iscrowd")),
            area=_area(row),
        )
    names = [x.get("name", str(x["id"])) for x in categories]
    return collector.finish(names, classes)


def _read(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error


def _check_rows(collector, content):
    """That there are lists of rows with all fields, and ids of their own."""
    for key, fields in NEEDED.items():
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise AnnotationError(
                f"{collector.source} holds no list {key!r}. Received: "
                f"{shorten(content)}"
            )
        seen = set()
        for i, row in enumerate(rows):
            is_row = isinstance(row, dict)
            lacking = [x for x in fields if not is_row or x not in row]
            if lacking:
                collector.refuse(f"{key}[{i}]", f"lacks {lacking}", row)
            if not is_whole(row["id"]):
                collector.refuse(
                    f"{key}[{i}].id", "is no whole number", row["id"]
                )
            if row["id"] in seen:
                collector.refuse(
                    f"{key}[{i}].id", "is that of an earlier one", row["id"]
                )
            seen.add(row["id"])
    for i, row in enumerate(content["categories"]):
        if not isinstance(row.get("name", ""), str):
            collector.refuse(f"categories[{i}].name", "is no text", row["name"])


def _place(key, i, row):
    return f"{key}[{i}] (id {shorten(row['id'])})"


def _area(row):
    """That of the object's outline, if the file has it."""
    area = row.get("area")
    return float(area) if is_number(area) and area > 0 else None
