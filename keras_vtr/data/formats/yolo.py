"""YOLO's annotations: a text file per image, a line per object."""

import collections
import dataclasses
import pathlib
import unicodedata

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats import values
from keras_vtr.data.formats.collector import RecordCollector
from keras_vtr.data.formats.folders import DECODED
from keras_vtr.data.formats.folders import OTHERS
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.folders import holds_pictures
from keras_vtr.data.formats.folders import some_of
from keras_vtr.data.formats.masks import pack_encoded
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.pictures.files import upright_shape


def read_yolo(
    annotations, images, class_names, *, invalid="raise", masks=False
):
    """Reads a data set in the format of Darknet's and Ultralytics' YOLO.

    A line contains the class, counted from 0, and the box: center x, center y,
    width, height, relative to the image; or three or more points x, y of an
    outline, whose box is taken. A picture without a text file of its name, or
    with an empty one, has no objects; at least one picture must have a file.

    Args:
        annotations: Folder of text files, each named as its picture.
        images: Folder of JPEG and PNG pictures.
        class_names: K names, in a list or a dict.
        invalid: As for `keras_vtr.data.read_coco`; `"drop"` also leaves out
            pictures whose size can't be read, that share a text file, or whose
            format isn't decoded.
        masks: Whether to read the outlines as masks; then a line with a box
            alone is invalid.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with file, line and value, if a line
            can't be read, a class is out of range, labels have no picture, no
            picture has labels, or a box is invalid.
        ValueError: If `class_names` are not strings.

    Example:

    >>> data = keras_vtr.data.read_yolo("labels", "images", ["cat", "dog"])
    ... # doctest: +SKIP
    """
    source = Source(pathlib.Path(annotations), pathlib.Path(images))
    return read_sources([source], class_names, invalid, masks)


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder of pictures and the one of their text files.

    Args:
        labels: Folder of text files.
        images: Folder of pictures.
        names: Of the pictures to read. Default: all in the folder.
    """

    labels: pathlib.Path
    images: pathlib.Path
    names: tuple | None = None


def read_sources(sources, class_names, invalid="raise", masks=False):
    """Reads several folders as one data set, as `read_yolo` does one."""
    first = sources[0]
    class_names = check_class_names(class_names, may_lack=False)
    pack_masks = pack_encoded if masks else None
    collector = RecordCollector(first.labels, first.images, invalid, pack_masks)
    num_labels = 0
    for source in sources:
        num_labels += _add_source(collector, source, class_names)
    if not num_labels and any(holds_pictures(x.images) for x in sources):
        raise AnnotationError(
            f"{first.labels} has no text file with the name of a picture in "
            f"{first.images}. Received: {some_of(first.labels) or 'nothing'} "
            f"for {some_of(first.images)}"
        )
    collector.path = first.labels
    return collector.finish(class_names, range(len(class_names)))


def _add_source(collector, source, class_names):
    """Adds the pictures of a folder; returns the number of text files."""
    collector.path = source.labels
    collector.enter(source.images)
    labels = _group_by_stem(files_of(source.labels, (".txt",)))
    paths = files_of(source.images, (*DECODED, *OTHERS))
    if source.names is not None:
        there = {path.name: path for path in paths}
        for name in source.names:
            if name not in there:
                place = str(source.images / name)
                collector.drop(f"the picture {name}", "does not exist", place)
        paths = [there[x] for x in source.names if x in there]
    pictures = _group_by_stem(paths)
    if source.names is None:
        for stem in labels.keys() - pictures.keys():
            for path in filter(_has_labels, labels[stem]):
                why = "has no picture"
                collector.drop(path.name, why, str(source.images))
    for stem, found in pictures.items():
        _add_pictures(collector, found, labels.get(stem, []), class_names)
    return len(labels.keys() & pictures.keys())


def _group_by_stem(paths):
    """Dict from names without suffix to one or more paths."""
    found = collections.defaultdict(list)
    for path in paths:
        found[unicodedata.normalize("NFC", path.stem)].append(path)
    return dict(found)


def _has_labels(path):
    """Whether a text file is of labels: empty, or with an object first."""
    try:
        lines = _lines(path)
        return not lines or bool(_parse(lines[0][1]))
    except ValueError:
        return False


def _add_pictures(collector, pictures, labels, class_names):
    """Adds a picture with its labels; several of one name are ambiguous."""
    collector.path = labels[0].parent if labels else collector.path
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
            why = "is neither JPEG nor PNG" if is_other else "is not a picture"
            collector.drop("images", why, str(picture))
            continue
        record = collector.add_image("images", picture.name, *size)
        for path in labels:
            _add_lines(collector, record, path, class_names)


def _add_lines(collector, record, path, class_names):
    folder, collector.path = collector.path, path
    height, width = record["shape"]
    for location, line in _lines(path):
        try:
            label, box, outline = _parse(line)
        except ValueError:
            collector.refuse(location, "is not a class and a box", line)
        if not 0 <= label < len(class_names):
            why = f"has a class outside of 0 to {len(class_names) - 1}"
            collector.refuse(location, why, line)
        if box is None:
            collector.drop(location, "is not a box", line)
        elif max(box) > 2:
            collector.drop(location, "is not relative to the image", line)
        else:
            mask = None
            if collector.pack_masks:
                value = _absolute(outline, width, height)
                mask = collector.read_mask(record, location, value)
                if mask is None:
                    continue
            x, y, w, h = box
            corner = (x - w / 2) * width, (y - h / 2) * height
            box = (*corner, w * width, h * height)
            collector.add_box(record, location, box, label, mask=mask)
    collector.path = folder


def _lines(path):
    """All lines that aren't blank, with their locations."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    return [(f"line {i}", x) for i, x in enumerate(lines, 1) if x.strip()]


def _parse(line):
    """The class, the box and the outline; None if a number is not finite."""
    label, *sides = line.split()
    label = values.whole_number(label)
    is_outline = len(sides) >= 6 and len(sides) % 2 == 0
    if len(sides) != 4 and not is_outline:
        raise ValueError
    try:
        sides = [values.number(side) for side in sides]
    except ValueError:
        return label, None, None
    if not is_outline:
        return label, sides, None
    x, y = sides[::2], sides[1::2]
    width, height = max(x) - min(x), max(y) - min(y)
    box = [min(x) + width / 2, min(y) + height / 2, width, height]
    return label, box, sides


def _absolute(outline, width, height):
    """A list of one outline in pixels, or of none."""
    if outline is None:
        return []
    sides = zip(outline, (width, height) * (len(outline) // 2), strict=True)
    return [[share * side for share, side in sides]]
