"""COCO-format annotations, checked before anything is trained on them."""

import collections
import json
import pathlib

import numpy as np

# A box may stand over the image's edge by rounding, in pixels.
TOLERANCE = 1.0


class AnnotationError(ValueError):
    """Annotations that a detector can't learn from; names the place."""


def read_coco(annotations, images, *, invalid="raise"):
    """Reads a data set in COCO's detection format.

    Lin et al. 2014, "Microsoft COCO", and https://cocodataset.org/#format-data.
    Category ids, which may have holes, become the classes 0..K-1 in the order
    of the ids. Crowds are left out: they are no objects to be learned.

    Args:
        annotations: Path of the JSON file.
        images: Folder that its `file_name`s are in.
        invalid: What happens to a box without area or outside of its image:
            `"raise"`, or `"drop"`, which leaves it out and counts it.

    Returns:
        A `CocoDataset`.

    Raises:
        AnnotationError: A `ValueError` with the file, the annotation's id and
            the value: if the file is no COCO JSON, an annotation names an
            image or a category that isn't there, a picture is missing or not
            within the folder, or a box is invalid.

    Example:

    >>> dataset = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    """
    if invalid not in ("raise", "drop"):
        raise ValueError(
            f"`invalid` must be 'raise' or 'drop'. Received: {invalid!r}"
        )
    path = pathlib.Path(annotations)
    content = _read(path)
    categories = sorted(content["categories"], key=lambda x: x["id"])
    classes = {x["id"]: i for i, x in enumerate(categories)}
    folder = pathlib.Path(images).resolve()
    records = {
        x["id"]: {
            "path": _picture(path, folder, x),
            "shape": (x["height"], x["width"]),
            "boxes": [],
            "labels": [],
        }
        for x in content["images"]
    }
    dropped = collections.Counter()
    for row in content["annotations"]:
        if row.get("iscrowd"):
            dropped["crowd"] += 1
            continue
        _check_references(path, row, records, classes)
        record = records[row["image_id"]]
        height, width = record["shape"]
        fault = _fault(row["bbox"], width, height)
        if fault and invalid == "raise":
            raise AnnotationError(
                f"{path}: annotation {row['id']} of image {row['image_id']} "
                f"{fault}. Received: bbox={row['bbox']}, an image of "
                f"{width} x {height} pixels. Mend it, or give "
                "invalid='drop'."
            )
        if fault:
            dropped[fault] += 1
            continue
        x, y, width, height = row["bbox"]
        record["boxes"].append((x, y, x + width, y + height))
        record["labels"].append(classes[row["category_id"]])
    for record in records.values():
        record["boxes"] = np.array(record["boxes"], "float32").reshape(-1, 4)
        record["labels"] = np.array(record["labels"], "int32")
    names = tuple(x.get("name", str(x["id"])) for x in categories)
    return CocoDataset(list(records.values()), names, tuple(classes), dropped)


class CocoDataset:
    """Checked records of a data set.

    Args:
        records: A list of dicts: `"path"`, `"shape"` (height, width), `"boxes"`
            (n, 4) float32 absolute `xyxy` pixels, and `"labels"` (n,) int32.
        class_names: K names.
        category_ids: The file's id of each class.
        dropped: How many annotations were left out, by reason.
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
        left_out = ", ".join(f"{n} {why}" for why, n in self.dropped.items())
        return (
            f"{len(self)} images, {num_boxes} boxes, "
            f"{len(self.class_names)} classes; left out: {left_out or 'none'}"
        )


def _read(path):
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    needed = {
        "images": ("id", "file_name", "width", "height"),
        "annotations": ("id", "image_id", "category_id", "bbox"),
        "categories": ("id",),
    }
    for key, fields in needed.items():
        if not isinstance(content, dict) or not isinstance(
            content.get(key), list
        ):
            raise AnnotationError(f"{path} holds no list {key!r}.")
        seen = set()
        for i, row in enumerate(content[key]):
            is_row = isinstance(row, dict)
            lacking = [x for x in fields if not is_row or x not in row]
            if lacking:
                raise AnnotationError(
                    f"{path}: {key}[{i}] lacks {lacking}: {str(row)[:80]}"
                )
            if row["id"] in seen:
                raise AnnotationError(
                    f"{path}: {key}[{i}] has the id {row['id']} of an earlier "
                    "one."
                )
            seen.add(row["id"])
    return content


def _picture(path, folder, row):
    picture = (folder / row["file_name"]).resolve()
    if not picture.is_relative_to(folder):
        raise AnnotationError(
            f"{path}: image {row['id']} lies outside of {folder}: "
            f"{row['file_name']!r}"
        )
    if not picture.is_file():
        raise AnnotationError(
            f"{path}: image {row['id']} is not there: {picture}"
        )
    return str(picture)


def _check_references(path, row, records, classes):
    for key, known in (("image_id", records), ("category_id", classes)):
        if row[key] not in known:
            raise AnnotationError(
                f"{path}: annotation {row['id']} has {key}={row[key]}, which "
                "the file doesn't list."
            )


def _fault(box, image_width, image_height):
    """What is wrong with an `xywh` box in pixels, or None."""
    try:
        box = np.asarray(box, "float64")
    except (TypeError, ValueError):
        return "is no box"
    if box.shape != (4,) or not np.isfinite(box).all():
        return "is no box"
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return "has no area"
    right, lower = image_width + TOLERANCE, image_height + TOLERANCE
    is_inside = min(x, y) >= -TOLERANCE and x + width <= right
    if not is_inside or y + height > lower:
        return "is not within its image"
    return None
