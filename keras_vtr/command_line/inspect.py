"""Inspects a data set: statistics, problems and pictures of its boxes.

FOLDER is as `keras-vtr --help` describes it, or a JSON file in COCO's format,
with the folder of its pictures after it. For each split it prints the classes,
the sizes of the boxes and every problem, and writes train.json with the same
content, train_boxes.png, as annotated, and train_augmented.png, as in training.
The exit code is 0 without problems, 1 with problems or a split that can't be
read, 2 if no split can be read.
"""

import functools
import pathlib

import keras
import tensorflow as tf

from keras_vtr.data import inspect_records
from keras_vtr.data import read_coco
from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.host_errors import own_errors
from keras_vtr.json_text import json_text
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid


def add_arguments(parser):
    add = parser.add_argument
    add("annotations", metavar="folder", help="the FOLDER, or a JSON file")
    add("images", nargs="?", help="folder of the JSON file's pictures")
    add("--output", default="report", help="folder to write")
    add("--num-images", type=int, default=12, help="how many to draw")
    add("--masks", action="store_true", help="read and draw outlines, too")
    most = "of the detector: 100 for pretrained DETRs"
    add("--num-queries", type=int, default=NUM_QUERIES, help=most)


def run(annotations, images, output, num_images, masks, num_queries, printer):
    if min(num_images, num_queries) < 1:
        raise ValueError(
            "--num-images and --num-queries must be 1 or more. Received: "
            f"{num_images} and {num_queries}"
        )
    try:
        splits = _find_split_readers(annotations, images)
    except (AnnotationError, OSError) as error:
        printer.error(error)
        return 2
    found = []
    for name, read in splits.items():
        try:
            data = read(invalid="drop", masks=masks)
        except (AnnotationError, OSError) as error:
            printer.error(f"{name}: {error}")
            continue
        report = inspect_records(data, max_objects=num_queries)
        folder = pathlib.Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json_text(report))
        printer.report("split", _text(name, report), name=name, **report)
        _draw_split(name, data, report, folder, num_images, printer)
        found.append(report["problems"])
    if not found:
        return 2
    return 0 if len(found) == len(splits) and not any(found) else 1


def _find_split_readers(annotations, images):
    """Functions that read each split, by name."""
    if images is None:
        return find_splits(annotations)
    path = pathlib.Path(annotations)
    return {path.stem: functools.partial(read_coco, path, images)}


def _draw_split(name, data, report, folder, num_images, printer):
    # Broken pictures are in the report already.
    broken = set(report["broken"])
    data.records = [x for x in data.records if x["path"] not in broken]
    for kind, training in (("boxes", False), ("augmented", True)):
        path = folder / f"{name}_{kind}.png"
        try:
            with own_errors():
                picture = _draw(data, training, num_images)
        except (ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            text = f"  {path} can't be drawn: {reason}"
            printer.report("not_drawn", text, path=str(path), reason=reason)
            continue
        picture.save(path)
        printer.report("picture", f"  {path}", path=str(path))


def _text(name, report):
    lines = [f"{name}: {report['summary']}"]
    for key, title in (
        ("classes", "boxes of each class"),
        ("sizes", "boxes by size, up to this share of the image's side"),
    ):
        lines.append(f"  {title}")
        most = max(1, *report[key].values())
        for label, number in report[key].items():
            bar = "#" * round(30 * number / most)
            lines.append(f"    {label!s:>20} {number:8} {bar}")
    problems = report["problems"]
    lines.append(f"  problems: {len(problems)}")
    return "\n".join([*lines, *(f"    {problem}" for problem in problems)])


def _draw(data, training, num_images):
    """A contact sheet with the boxes."""
    batches = detection_dataset(
        data,
        1,
        training=training,
        masks=data.has_masks,
        short_sides=(240, 320) if training else (240,),
        longest_side=480,
        crop_short_sides=(240, 320),
        crop_range=(160, 320),
    )
    pictures = []
    for inputs, y_true in batches.take(num_images):
        image = inputs["images"][0]
        boxes = keras.utils.bounding_boxes.convert_format(
            y_true["boxes"][0], "rel_center_xywh", "xyxy", *image.shape[:2]
        )
        labels = y_true["labels"][0]
        pictures.append(
            draw_boxes(
                image,
                boxes,
                labels,
                masks=y_true["masks"][0] if "masks" in y_true else None,
                class_names=data.class_names,
            )
        )
    return draw_grid(pictures)
