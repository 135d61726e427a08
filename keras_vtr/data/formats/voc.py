"""Pascal VOC's annotations: one XML file an image."""

import pathlib
from xml.etree import ElementTree

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats import values
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import RecordCollector


def read_voc(annotations, images, *, class_names=None, invalid="raise"):
    """Reads a data set in Pascal VOC's format.

    Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge",
    and the development kit's documentation: pixels count from 1, and both
    corners belong to the box. Objects marked difficult are objects like others.

    Args:
        annotations: Folder of XML files.
        images: Folder of the pictures that their `filename`s name.
        class_names: K different names, in a list or a dict. Default: all that
            occur, sorted; give those of the training data to read what they
            are to be compared with.
        invalid: As for `keras_vtr.data.read_coco`.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with the file, the object and the value,
            if a file is no annotation, an object has no name or one that isn't
            among `class_names`, a picture is missing or not within the folder,
            a box is invalid, or no picture is left.
        ValueError: If `class_names` are no strings, or two are the same.

    Example:

    >>> data = keras_vtr.data.read_voc("Annotations", "JPEGImages")
    ... # doctest: +SKIP
    """
    folder = pathlib.Path(annotations)
    files = files_of(folder, (".xml",))
    if not files:
        raise AnnotationError(f"{folder} holds no XML files.")
    collector = RecordCollector(folder, images, invalid)
    roots = {path: _parse(path) for path in files}
    labels = {path: _names(collector, path, x) for path, x in roots.items()}
    if class_names is None:
        class_names = sorted({x for names in labels.values() for x in names})
    class_names = check_class_names(class_names, may_lack=False)
    classes = {name: i for i, name in enumerate(class_names)}
    if len(classes) < len(class_names):
        raise ValueError(
            "`class_names` must differ, since the files name classes and don't "
            f"count them. Received: class_names={class_names}"
        )
    for path, root in roots.items():
        collector.source = path
        size = [root.findtext(f"size/{x}") for x in ("height", "width")]
        name = root.findtext("filename", "").strip()
        record = collector.add_image("annotation", name, *size)
        if record is None:
            continue
        for i, row in enumerate(root.iterfind("object")):
            name = labels[path][i]
            if name not in classes:
                collector.refuse(f"object[{i}].name", "is no class", name)
            place = f"object[{i}].bndbox"
            collector.add_box(record, place, _box(row), classes[name])
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


def _names(collector, path, root):
    """Of all objects of a file."""
    collector.source = path
    return [
        collector.read(values.name, f"object[{i}].name", row.findtext("name"))
        for i, row in enumerate(root.iterfind("object"))
    ]


def _box(row):
    """`xywh` in pixels that count from 0, or what can't be read as numbers."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    texts = [row.findtext(f"bndbox/{key}") for key in keys]
    try:
        x0, y0, x1, y1 = values.four_numbers(texts)
    except ValueError:
        return texts
    return x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1
