"""Inspects a data set: statistics, problems and pictures of its boxes.

    python -m keras_vtr.data.inspect FOLDER --output report
    python -m keras_vtr.data.inspect train.json train --output report

FOLDER holds annotations in COCO's format beside pictures in a folder of the
same name, such as train.json and train/; or an export of Roboflow, CVAT or
Ultralytics (data.yaml). For each split it prints the classes, the sizes of the
boxes and every problem, and writes train.json with the same content,
train_boxes.png, as annotated, and train_augmented.png, as in training. The exit
code is 0 without problems, 1 with problems or a split that can't be read, 2 if
no split can be read.
"""

import argparse
import functools
import pathlib
import sys

import keras
import tensorflow as tf

from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.formats.coco import read_coco
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.data.inspection import inspect_records
from keras_vtr.host_errors import own_errors
from keras_vtr.json_text import json_text
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m keras_vtr.data.inspect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("annotations", help="a JSON file, or the FOLDER")
    parser.add_argument("images", nargs="?", help="folder of its pictures")
    parser.add_argument("--output", default="report", help="folder to write")
    parser.add_argument(
        "--num-images", type=int, default=12, help="how many to draw"
    )
    parser.add_argument(
        "--masks", action="store_true", help="read and draw outlines, too"
    )
    parser.add_argument(
        "--num-queries",
        type=int,
        default=NUM_QUERIES,
        help="of the detector: 100 for pretrained DETRs, default %(default)s",
    )
    options = parser.parse_args(arguments)
    if min(options.num_images, options.num_queries) < 1:
        parser.error("--num-images and --num-queries must be 1 or more")
    output = pathlib.Path(options.output)
    try:
        splits = _find_split_readers(options.annotations, options.images)
        found = [_inspect(*x, output, options) for x in splits.items()]
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if all(problems is None for problems in found):
        return 2
    return 0 if all(problems == [] for problems in found) else 1


def _find_split_readers(annotations, images):
    """Functions that read each split, by name."""
    if images is None:
        return find_splits(annotations)
    path = pathlib.Path(annotations)
    return {path.stem: functools.partial(read_coco, path, images)}


def _inspect(name, read, output, options):
    """Prints and draws a split. Returns its problems, None if unreadable."""
    try:
        data = read(invalid="drop", masks=options.masks)
    except (AnnotationError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    report = inspect_records(data, max_objects=options.num_queries)
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json_text(report))
    _print(name, report)
    # Broken pictures are in the report already.
    broken = set(report["broken"])
    data.records = [x for x in data.records if x["path"] not in broken]
    for kind, training in (("boxes", False), ("augmented", True)):
        path = output / f"{name}_{kind}.png"
        try:
            with own_errors():
                picture = _draw(data, training, options.num_images)
        except (ValueError, tf.errors.OpError) as error:
            print(f"  {path} can't be drawn: {str(error).splitlines()[0]}")
            continue
        picture.save(path)
        print(f"  {path}")
    return report["problems"]


def _print(name, report):
    print(f"{name}: {report['summary']}")
    for key, title in (
        ("classes", "boxes of each class"),
        ("sizes", "boxes by size, up to this share of the image's side"),
    ):
        print(f"  {title}")
        most = max(1, *report[key].values())
        for label, number in report[key].items():
            bar = "#" * round(30 * number / most)
            print(f"    {label!s:>20} {number:8} {bar}")
    print(f"  problems: {len(report['problems'])}")
    for problem in report["problems"]:
        print(f"    {problem}")


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


if __name__ == "__main__":
    sys.exit(main())
