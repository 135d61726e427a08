"""Inspects a data set: statistics, problems and pictures of its boxes.

FOLDER is as `keras-vtr --help` describes it, or a JSON file in COCO's format,
with the folder of its pictures after it. Its layout is recognized
(docs/data.md). For each split it prints the classes, the sizes of the boxes and
every problem, and writes train.json with the same content, train_boxes.png, as
annotated, and train_augmented.png, as in training; of class folders,
train_pictures.png. Then it prints what is wrong with the splits together:
classes that differ, pictures that are in two of them. Without a split for
validation, split.json lists the pictures that are taken for it. The exit code
is 0 without problems, 1 with problems or a split that can't be read, 2 if no
split can be read.
"""

import copy
import functools
import pathlib

import tensorflow as tf

from keras_vtr.data import ClassificationRecords
from keras_vtr.data import inspect_records
from keras_vtr.data import read_coco
from keras_vtr.data.contact_sheets import draw_classes
from keras_vtr.data.contact_sheets import draw_detection
from keras_vtr.data.formats.dividing import SPLIT_FILE
from keras_vtr.data.formats.dividing import divide
from keras_vtr.data.formats.dividing import write_split
from keras_vtr.data.formats.layouts import DataFolder
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.split_checks import check_classes
from keras_vtr.data.formats.split_checks import shared_pictures
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.host_errors import own_errors
from keras_vtr.json_text import json_text


def add_arguments(parser):
    add = parser.add_argument
    add("annotations", metavar="folder", help="the FOLDER, or a JSON file")
    add("images", nargs="?", help="folder of the JSON file's pictures")
    add("--output", default="report", help="folder to write")
    add("--num-images", type=int, default=12, help="how many to draw")
    add("--masks", action="store_true", help="read and draw outlines, too")
    most = "of the detector: 100 for pretrained DETRs"
    add("--num-queries", type=int, default=NUM_QUERIES, help=most)
    add("--seed", type=int, default=0, help="of a split that has to be made")


def run(
    annotations,
    images,
    output,
    *,
    num_images,
    masks,
    num_queries,
    seed,
    printer,
):
    if min(num_images, num_queries) < 1:
        raise ValueError(
            "--num-images and --num-queries must be 1 or more. Received: "
            f"{num_images} and {num_queries}"
        )
    try:
        found = _find(annotations, images)
    except (AnnotationError, OSError) as error:
        printer.error(error)
        return 2
    names = list(found.splits)
    printer.report("layout", str(found), layout=found.layout, splits=names)
    splits, problems = {}, []
    folder = pathlib.Path(output)
    for name, read in found.splits.items():
        try:
            data = read(invalid="drop", masks=masks)
        except (AnnotationError, OSError) as error:
            printer.error(f"{name}: {error}")
            continue
        report = inspect_records(data, max_objects=num_queries)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json_text(report))
        printer.report("split", _text(name, report), name=name, **report)
        _draw_split(name, data, report, folder, num_images, printer)
        splits[name] = data
        problems += report["problems"]
    if not splits:
        return 2
    problems += _inspect_together(splits, printer)
    if images is None and found.undivided in splits:
        whole = splits[found.undivided]
        problems += _divide(whole, folder / SPLIT_FILE, seed, printer)
    return 0 if len(splits) == len(found.splits) and not problems else 1


def _find(annotations, images):
    """The `DataFolder`; of a single file, with one split."""
    if images is None:
        return find_splits(annotations)
    path = pathlib.Path(annotations)
    splits = {path.stem: functools.partial(read_coco, path, images)}
    return DataFolder(path, "a file in COCO's format", splits)


def _inspect_together(splits, printer):
    """Prints and returns the problems of all splits together."""
    problems = list(shared_pictures(splits))
    try:
        check_classes(splits)
    except AnnotationError as error:
        problems.append(str(error))
    if problems:
        text = "\n  ".join(["problems of the splits together", *problems])
        printer.report("splits", text, problems=problems)
    return problems


def _divide(whole, path, seed, printer):
    """Makes a split for validation; returns the problems with it."""
    try:
        _, val = divide(whole, path, seed=seed)
    except AnnotationError as error:
        text = f"no split for validation: {error}"
        printer.report("splits", text, problems=[text])
        return [text]
    write_split(val, path, seed=seed)
    text = f"{len(val)} of {len(whole)} images are taken for it, {path}"
    paths = [x["path"] for x in val.records]
    printer.report(
        "val", f"no split for validation: {text}", path=str(path), images=paths
    )
    return []


def _draw_split(name, data, report, folder, num_images, printer):
    # Broken pictures are in the report already.
    broken = set(report["broken"])
    usable = copy.copy(data)
    usable.records = [x for x in data.records if x["path"] not in broken]
    for kind, draw in _drawings(usable, num_images).items():
        path = folder / f"{name}_{kind}.png"
        try:
            with own_errors():
                picture = draw()
        except (ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            text = f"  {path} can't be drawn: {reason}"
            printer.report("not_drawn", text, path=str(path), reason=reason)
            continue
        picture.save(path)
        printer.report("picture", f"  {path}", path=str(path))


def _drawings(data, num_images):
    if isinstance(data, ClassificationRecords):
        return {"pictures": lambda: draw_classes(data, num_images)}
    return {
        "boxes": lambda: draw_detection(data, False, num_images),
        "augmented": lambda: draw_detection(data, True, num_images),
    }


def _text(name, report):
    lines = [f"{name}: {report['summary']}"]
    lines += [f"  {note}" for note in report["notes"]]
    things = "boxes" if "sizes" in report else "pictures"
    for key, title in (
        ("classes", f"{things} of each class"),
        ("sizes", "boxes by size, up to this share of the image's side"),
    ):
        if key not in report:
            continue
        lines.append(f"  {title}")
        most = max(1, *report[key].values())
        for label, number in report[key].items():
            bar = "#" * round(30 * number / most)
            lines.append(f"    {label!s:>20} {number:8} {bar}")
    problems = report["problems"]
    lines.append(f"  problems: {len(problems)}")
    return "\n".join([*lines, *(f"    {problem}" for problem in problems)])
