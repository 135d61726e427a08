"""COCO-format annotations."""

import json
import pathlib

from keras_vtr.data.formats import values
from keras_vtr.data.formats.collector import RecordCollector
from keras_vtr.data.formats.collector import shorten
from keras_vtr.data.formats.masks import pack_encoded
from keras_vtr.data.formats.records import AnnotationError

FIELDS = ("image_id", "category_id", "bbox")


def read_coco(
    annotations, images, *, invalid="raise", masks=False, keep_root=False
):
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
        masks: Whether to read each object's `segmentation`, outlines or a
            run-length encoding, which are checked and kept compressed. What is
            said of boxes in `invalid` is true of masks.
        keep_root: Whether Roboflow's root category is a class even if no
            annotation is of it. It has the id 0, and its name is the
            `supercategory` of all others. By default it is then left out, and
            a note says so.

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
    pack_masks = pack_encoded if masks else None
    collector = RecordCollector(path, images, invalid, pack_masks)
    content = read_json(path)
    records = read_images(collector, content)
    annotations = read_rows(collector, content, "annotations", FIELDS)
    names = read_names(collector, read_rows(collector, content, "categories"))
    if not keep_root and _has_unused_root(content):
        collector.notes.append(
            f"{path}: the category {names.pop(0)!r} of id 0 is no class, but "
            "the root of the others, and no annotation is of it"
        )
    classes = {number: i for i, number in enumerate(names)}
    for location, row in annotations.values():
        record = look_up(collector, location, row, "image_id", records)
        label = look_up(collector, location, row, "category_id", classes)
        crowd = row.get("iscrowd", 0)
        crowd = collector.read(values.flag, f"{location}.iscrowd", crowd)
        area = collector.read(values.area, f"{location}.area", row.get("area"))
        if record is None:
            collector.dropped["is of a dropped image"] += 1
            continue
        more = {"crowd": crowd, "area": area}
        if masks:
            place, value = f"{location}.segmentation", row.get("segmentation")
            more["mask"] = collector.read_mask(record, place, value)
            if more["mask"] is None:
                continue
        collector.add_box(
            record, f"{location}.bbox", row["bbox"], label, **more
        )
    return collector.finish(tuple(names.values()), classes)


def read_json(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error


def read_images(collector, content):
    """The record of each image, or None if it was dropped, by its id."""
    fields = ("file_name", "width", "height")
    return {
        number: collector.add_image(
            location, row["file_name"], row["height"], row["width"]
        )
        for number, (location, row) in read_rows(
            collector, content, "images", fields
        ).items()
    }


def read_rows(collector, content, key, fields=()):
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


def read_names(collector, categories):
    """The name of each category, or its id if it has none, by the id."""
    names = {}
    for number in sorted(categories):
        location, row = categories[number]
        name = row.get("name", str(number))
        names[number] = collector.read(values.name, f"{location}.name", name)
    return names


def _has_unused_root(content):
    """Whether the category of id 0 is the root of all others, and unused."""
    roots = [x for x in content["categories"] if _is_zero(x["id"])]
    others = [x for x in content["categories"] if x not in roots]
    return (
        bool(roots and others)
        and all(x.get("supercategory") == roots[0].get("name") for x in others)
        and not uses_root(content)
    )


def uses_root(content):
    """Whether an annotation of a file's content is of the category 0."""
    rows = content.get("annotations") if isinstance(content, dict) else None
    rows = rows if isinstance(rows, list) else []
    rows = (x for x in rows if isinstance(x, dict))
    return any(_is_zero(x.get("category_id")) for x in rows)


def _is_zero(number):
    try:
        return values.whole_number(number) == 0
    except ValueError:
        return False


def look_up(collector, location, row, key, known):
    """The image or class that an annotation names by its id."""
    location = f"{location}.{key}"
    number = collector.read(values.whole_number, location, row[key])
    if number not in known:
        collector.refuse(location, "is not listed in the file", row[key])
    return known[number]
