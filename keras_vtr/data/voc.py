"""Pascal VOC's annotations: one XML file an image."""

import pathlib
from xml.etree import ElementTree

from keras_vtr.data.records import AnnotationError
from keras_vtr.data.records import RecordCollector


def read_voc(annotations, images, *, class_names=None, invalid="raise"):
    """Reads a data set in Pascal VOC's format.

    Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge",
    and the development kit's documentation: pixels count from 1, and both
    corners belong to the box. Objects marked difficult are objects like others.

    Args:
        annotations: Folder of XML files.
        images: Folder of the pictures that their `filename`s name.
        class_names: K names. Default: all that occur, sorted; give those of
            the training data to read what they are to be compared with.
        invalid: As for `keras_vtr.data.read_coco`.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the object and the value,
            if a file is no annotation, a class isn't among `class_names`, a
            picture is missing or not within the folder, or a box is invalid.

    Example:

    >>> data = keras_vtr.data.read_voc("Annotations", "JPEGImages")
    ... # doctest: +SKIP
    """
    folder = pathlib.Path(annotations)
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise AnnotationError(f"{folder} holds no XML files.")
    roots = {path: _parse(path) for path in files}
    if class_names is None:
        names = (x for root in roots.values() for x in _names(root))
        class_names = sorted(set(names))
    collector = RecordCollector(folder, images, invalid)
    for path, root in roots.items():
        collector.source = path
        size = [_whole(root.findtext(f"size/{x}")) for x in ("height", "width")]
        name = root.findtext("filename", "").strip()
        record = collector.add_image("annotation", name, *size)
        if record is None:
            continue
        for i, row in enumerate(root.iterfind("object")):
            name = row.findtext("name", "").strip()
            if name not in class_names:
                collector.refuse(f"object[{i}].name", "is no class", name)
            collector.add_box(
                record,
                f"object[{i}].bndbox",
                _box(row),
                class_names.index(name),
            )
    collector.source = folder
    return collector.finish(class_names, class_names)


def _parse(path):
    try:
        content = path.read_bytes()
        # Entities are not needed here, and can be made to fill the memory.
        if b"<!ENTITY" in content:
            raise AnnotationError(f"{path} defines XML entities.")
        return ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path} can't be read: {error}") from error


def _names(root):
    return (x.findtext("name", "").strip() for x in root.iterfind("object"))


def _box(row):
    """`xywh` in pixels that count from 0."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    texts = [row.findtext(f"bndbox/{key}") for key in keys]
    try:
        x0, y0, x1, y1 = (float(text) for text in texts)
    except (TypeError, ValueError):
        return texts
    return x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1


def _whole(text):
    try:
        return int(text)
    except (TypeError, ValueError):
        return text
