"""Shows a data set: what is in it, what is wrong with it, and its boxes.

    python -m keras_vtr.data.inspect FOLDER --output report
    python -m keras_vtr.data.inspect train.json train --output report

FOLDER holds annotations in COCO's format beside pictures in a folder of that
name, such as train.json and train/. For each it prints the classes, the sizes
of the boxes and every problem, and writes train.json with all of it,
train_boxes.png, as annotated, and train_augmented.png, as in training. The
exit code is 0 without problems, 1 with some, 2 if nothing could be read.
"""

import argparse
import pathlib
import sys

import keras

from keras_vtr.data.coco import read_coco
from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.inspection import inspect_records
from keras_vtr.data.records import AnnotationError
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
        "--max-objects", type=int, default=100, help="queries of the detector"
    )
    options = parser.parse_args(arguments)
    output = pathlib.Path(options.output)
    try:
        places = _places(options.annotations, options.images)
        problems = [
            problem
            for name, place in places.items()
            for problem in _inspect(name, place, output, options)
        ]
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if problems else 0


def _places(annotations, images):
    """By name, each JSON file and its folder of pictures."""
    path = pathlib.Path(annotations)
    if images is not None:
        return {path.stem: (path, pathlib.Path(images))}
    places = {
        x.stem: (x, x.with_suffix(""))
        for x in sorted(path.glob("*.json"))
        if x.with_suffix("").is_dir()
    }
    if not places:
        raise AnnotationError(
            f"{path} holds no annotations NAME.json beside a folder NAME of "
            "pictures. Name both: annotations.json pictures/"
        )
    return places


def _inspect(name, place, output, options):
    data = read_coco(*place, invalid="drop")
    if not data.records:
        raise AnnotationError(f"{place[0]} lists no image that is there.")
    report = inspect_records(data, max_objects=options.max_objects)
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json_text(report))
    _print(name, report)
    for kind, training in (("boxes", False), ("augmented", True)):
        path = output / f"{name}_{kind}.png"
        _draw(data, training, options.num_images).save(path)
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
        short_sides=(240, 320) if training else (240,),
        longest_side=480,
        crop_short_sides=(240, 320),
        crop_range=(160, 320),
        broken="skip",
    )
    pictures = []
    for inputs, y_true in batches.take(num_images):
        image = inputs["images"][0]
        boxes = keras.utils.bounding_boxes.convert_format(
            y_true["boxes"][0], "rel_center_xywh", "xyxy", *image.shape[:2]
        )
        labels = y_true["labels"][0]
        pictures.append(
            draw_boxes(image, boxes, labels, class_names=data.class_names)
        )
    return draw_grid(pictures)


if __name__ == "__main__":
    sys.exit(main())
