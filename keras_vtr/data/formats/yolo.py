"""YOLO's annotations: one text file an image, one line an object."""

import collections
import pathlib
import unicodedata

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats import values
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.folders import some_of
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import RecordCollector
from keras_vtr.data.pictures.files import upright_shape

DECODED = (".jpe", ".jpeg", ".jfif", ".jpg", ".mpo", ".png")
# Pictures to other tools.
OTHERS = (".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jp2", ".pfm")
OTHERS += (".tif", ".tiff", ".webp")


def read_yolo(annotations, images, class_names, *, invalid="raise"):
    """Reads a data set in the format of Darknet's and Ultralytics' YOLO.

    A line holds the class, counted from 0, and the box: center x, center y,
    width, height, each relative to the image; or an outline's points, three or
    more x and y, whose box is taken. A picture without a file of this name, or
    with an empty one, has no objects; one of all must have a file.

    Args:
        annotations: Folder of text files, each named as its picture.
        images: Folder of JPEG and PNG pictures.
        class_names: K names, in a list or a dict.
        invalid: As for `keras_vtr.data.read_coco`; `"drop"` also leaves out
            pictures whose size can't be read, that have the same file of
            labels, or are of a format that isn't decoded.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the line and the value,
            if a line is no object, a class is out of range, labels have no
            picture, no picture has labels, or a box is invalid.
        ValueError: If `class_names` are no strings.

    Example:

    >>> data = keras_vtr.data.read_yolo("labels", "images", ["cat", "dog"])
    ... # doctest: +SKIP
    """
    folder, picture_folder = pathlib.Path(annotations), pathlib.Path(images)
    class_names = check_class_names(class_names, may_lack=False)
    collector = RecordCollector(folder, images, invalid)
    labels = _by_stem(files_of(folder, (".txt",)))
    pictures = _by_stem(files_of(picture_folder, (*DECODED, *OTHERS)))
    for stem in labels.keys() - pictures.keys():
        for path in filter(_is_labels, labels.pop(stem)):
            collector.drop(path.name, "has no picture", str(picture_folder))
    if pictures and not labels:
        raise AnnotationError(
            f"{folder} holds no text file that is named as a picture of "
            f"{picture_folder}. Received: {some_of(folder) or 'nothing'} for "
            f"{some_of(picture_folder)}"
        )
    for stem, paths in pictures.items():
        _add_pictures(collector, paths, labels.get(stem, []), class_names)
    collector.source = folder
    return collector.finish(class_names, range(len(class_names)))


def _by_stem(paths):
    """Names without endings, of which there may be several, to the paths."""
    found = collections.defaultdict(list)
    for path in paths:
        found[unicodedata.normalize("NFC", path.stem)].append(path)
    return dict(found)


def _is_labels(path):
    """Whether a text file without a picture is one that has lost it."""
    try:
        lines = _lines(path)
        return not lines or bool(_parse(lines[0][1]))
    except ValueError:
        return False


def _add_pictures(collector, pictures, labels, class_names):
    """One picture and its labels; of several of one name it is not clear
    whose these are."""
    collector.source = labels[0].parent if labels else collector.source
    if len(labels) > 1 or (labels and len(pictures) > 1):
        for picture in pictures:
            why = "is not the only one of its name"
            collector.drop(picture.name, why, [x.name for x in labels])
        return
    for picture in pictures:
        try:
            size = upright_shape(picture)
        except OSError:
            is_other = picture.suffix.lower() in OTHERS
            why = "is neither JPEG nor PNG" if is_other else "is no picture"
            collector.drop("images", why, str(picture))
            continue
        record = collector.add_image("images", picture.name, *size)
        for path in labels:
            _add_lines(collector, record, path, class_names)


def _add_lines(collector, record, path, class_names):
    source, collector.source = collector.source, path
    height, width = record["shape"]
    for place, line in _lines(path):
        try:
            label, box = _parse(line)
        except ValueError:
            collector.refuse(place, "is no class and box", line)
        if not 0 <= label < len(class_names):
            why = f"has a class out of 0 to {len(class_names) - 1}"
            collector.refuse(place, why, line)
        if box is None:
            collector.drop(place, "is no box", line)
        elif max(box) > 2:
            collector.drop(place, "is not relative to the image", line)
        else:
            x, y, w, h = box
            corner = (x - w / 2) * width, (y - h / 2) * height
            box = (*corner, w * width, h * height)
            collector.add_box(record, place, box, label)
    collector.source = source


def _lines(path):
    """All that aren't blank, each with its place."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    return [(f"line {i}", x) for i, x in enumerate(lines, 1) if x.strip()]


def _parse(line):
    """The class, and the box if all of its numbers are finite."""
    label, *sides = line.split()
    label = values.whole_number(label)
    is_outline = len(sides) >= 6 and len(sides) % 2 == 0
    if len(sides) != 4 and not is_outline:
        raise ValueError
    try:
        sides = [values.number(side) for side in sides]
    except ValueError:
        return label, None
    if is_outline:
        x, y = sides[::2], sides[1::2]
        width, height = max(x) - min(x), max(y) - min(y)
        sides = [min(x) + width / 2, min(y) + height / 2, width, height]
    return label, sides
