"""YOLO's annotations: one text file an image, one line an object."""

import pathlib

from keras_vtr.data.picture_files import upright_shape
from keras_vtr.data.records import AnnotationError
from keras_vtr.data.records import RecordCollector

SUFFIXES = (".jpg", ".jpeg", ".png")


def read_yolo(annotations, images, class_names, *, invalid="raise"):
    """Reads a data set in the format of Darknet's and Ultralytics' YOLO.

    A line holds the class, counted from 0, and the box: center x, center y,
    width, height, each relative to the image. A picture without a file of this
    name, or with an empty one, has no objects.

    Args:
        annotations: Folder of text files, each named as its picture.
        images: Folder of JPEG and PNG pictures.
        class_names: K names.
        invalid: As for `keras_vtr.data.read_coco`; `"drop"` also leaves out
            pictures whose size can't be read.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the line and the value,
            if a line is no object, a class is out of range, a text file has no
            picture, or a box is invalid.

    Example:

    >>> data = keras_vtr.data.read_yolo("labels", "images", ["cat", "dog"])
    ... # doctest: +SKIP
    """
    folder, picture_folder = pathlib.Path(annotations), pathlib.Path(images)
    collector = RecordCollector(folder, images, invalid)
    pictures = [
        path
        for path in sorted(picture_folder.glob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    known = {path.stem for path in pictures}
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in known and path.name != "classes.txt":
            collector.drop(path.name, "has no picture", str(picture_folder))
    for picture in pictures:
        collector.source = folder
        try:
            size = upright_shape(picture)
        except OSError:
            collector.drop("images", "is no picture", str(picture))
            continue
        record = collector.add_image("images", picture.name, *size)
        _add_lines(
            collector, record, folder / f"{picture.stem}.txt", class_names
        )
    collector.source = folder
    return collector.finish(class_names, range(len(class_names)))


def _add_lines(collector, record, path, class_names):
    if not path.exists():
        return
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    collector.source = path
    height, width = record["shape"]
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {i}"
        try:
            label, *box = line.split()
            label, (x, y, w, h) = int(label), (float(side) for side in box)
        except ValueError:
            collector.refuse(place, "is no class and box", line)
        if not 0 <= label < len(class_names):
            why = f"has a class out of 0 to {len(class_names) - 1}"
            collector.refuse(place, why, line)
        if max(x, y, w, h) > 2:
            collector.drop(place, "is not relative to the image", line)
            continue
        box = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
        collector.add_box(record, place, box, label)
