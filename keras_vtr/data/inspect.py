"""Inspects a data set: statistics, problems and pictures of its boxes.

    python -m keras_vtr.data.inspect FOLDER --output report
    python -m keras_vtr.data.inspect train.json train --output report

FOLDER has one of the layouts of docs/data.md, which is recognized: annotations
in COCO's format beside pictures in a folder of the same name, such as
train.json and train/; exports of Roboflow and CVAT; Ultralytics' data.yaml;
Pascal VOC's folders; or a folder of pictures for each class. For each split it
prints the classes, the sizes of the boxes and every problem, and writes
train.json with the same content, train_boxes.png, as annotated, and
train_augmented.png, as in training; of class folders train_pictures.png. What
is wrong with the splits together follows: classes that differ, pictures that
are in two of them. Without a split for validation, split.json lists the
pictures that are taken for it. The exit code is 0 without problems, 1 with
problems or a split that can't be read, 2 if no split can be read.
"""

import argparse
import copy
import functools
import pathlib
import sys

import tensorflow as tf

from keras_vtr.data.contact_sheets import draw_classes
from keras_vtr.data.contact_sheets import draw_detection
from keras_vtr.data.formats.class_folders import ClassificationRecords
from keras_vtr.data.formats.coco import read_coco
from keras_vtr.data.formats.dividing import SPLIT_FILE
from keras_vtr.data.formats.dividing import divide
from keras_vtr.data.formats.layouts import DataFolder
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.split_checks import check_classes
from keras_vtr.data.formats.split_checks import shared_pictures
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.data.inspection import inspect_records
from keras_vtr.host_errors import own_errors
from keras_vtr.json_text import json_text


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
    parser.add_argument(
        "--seed", type=int, default=0, help="of a split that has to be made"
    )
    options = parser.parse_args(arguments)
    if min(options.num_images, options.num_queries) < 1:
        parser.error("--num-images and --num-queries must be 1 or more")
    output = pathlib.Path(options.output)
    try:
        found = _find(options.annotations, options.images)
        print(found)
        splits, problems = {}, []
        for name, read in found.splits.items():
            data = _read(name, read, options.masks)
            if data is None:
                problems.append(f"{name} can't be read")
                continue
            splits[name] = data
            problems += _inspect(name, data, output, options)
        if not splits:
            return 2
        problems += _inspect_together(found, splits, output, options)
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if problems else 0


def _find(annotations, images):
    if images is None:
        return find_splits(annotations)
    path = pathlib.Path(annotations)
    splits = {path.stem: functools.partial(read_coco, path, images)}
    return DataFolder(path, "a file in COCO's format", splits)


def _read(name, read, masks):
    """The records of a split, None if it can't be read."""
    try:
        return read(invalid="drop", masks=masks)
    except (AnnotationError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None


def _inspect(name, data, output, options):
    """Prints and draws a split. Returns its problems."""
    report = inspect_records(data, max_objects=options.num_queries)
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json_text(report))
    _print(name, report)
    # Broken pictures are in the report already.
    broken = set(report["broken"])
    usable = copy.copy(data)
    usable.records = [x for x in data.records if x["path"] not in broken]
    for kind, draw in _drawings(usable, options.num_images).items():
        path = output / f"{name}_{kind}.png"
        try:
            with own_errors():
                picture = draw()
        except (ValueError, tf.errors.OpError) as error:
            print(f"  {path} can't be drawn: {str(error).splitlines()[0]}")
            continue
        picture.save(path)
        print(f"  {path}")
    return report["problems"]


def _drawings(data, num_images):
    if isinstance(data, ClassificationRecords):
        return {"pictures": lambda: draw_classes(data, num_images)}
    return {
        "boxes": lambda: draw_detection(data, False, num_images),
        "augmented": lambda: draw_detection(data, True, num_images),
    }


def _inspect_together(found, splits, output, options):
    """Prints and returns the problems of all splits together."""
    problems = list(shared_pictures(splits))
    try:
        check_classes(splits)
        if options.images is None and found.undivided in splits:
            path = output / SPLIT_FILE
            whole = splits[found.undivided]
            _, val = divide(whole, path, seed=options.seed)
            print(
                f"no split for validation: {len(val)} of {len(whole)} images "
                f"are taken for it, {path}"
            )
    except AnnotationError as error:
        problems.append(str(error))
    if problems:
        print(f"problems of the splits together: {len(problems)}")
    for problem in problems:
        print(f"  {problem}")
    return problems


def _print(name, report):
    print(f"{name}: {report['summary']}")
    for note in report["notes"]:
        print(f"  {note}")
    things = "boxes" if "sizes" in report else "pictures"
    for key, title in (
        ("classes", f"{things} of each class"),
        ("sizes", "boxes by size, up to this share of the image's side"),
    ):
        if key not in report:
            continue
        print(f"  {title}")
        most = max(1, *report[key].values())
        for label, number in report[key].items():
            bar = "#" * round(30 * number / most)
            print(f"    {label!s:>20} {number:8} {bar}")
    print(f"  problems: {len(report['problems'])}")
    for problem in report["problems"]:
        print(f"    {problem}")


if __name__ == "__main__":
    sys.exit(main())
