"""Pascal VOC's annotations: one XML file an image."""

import pathlib
from xml.etree import ElementTree

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats import values
from keras_vtr.data.formats.collector import RecordCollector
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.records import AnnotationError


def read_voc(
    annotations, images, *, class_names=None, names=None, invalid="raise"
):
    """Reads a data set in Pascal VOC's format.

    Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge",
    and the development kit's documentation: pixels count from 1, and both
    corners belong to the box. Objects marked difficult are read like others.

    Args:
        annotations: Folder of XML files.
        images: Folder of the pictures that their `filename`s name.
        class_names: K different names, in a list or a dict. Default: all that
            occur, sorted. For validation data, give those of the training data.
        names: The XML files to read, without suffix, such as from
            `ImageSets/Main/train.txt`. Default: all.
        invalid: As for `keras_vtr.data.read_coco`.

    Returns:
        A `keras_vtr.data.DetectionRecords`.

    Raises:
        AnnotationError: A `ValueError` with file, object and value, if a file
            can't be read, the name of an object is missing or not among
            `class_names`, a picture is missing or not within the folder, a box
            is invalid, or no picture is left.
        ValueError: If `class_names` are not different strings.

    Example:

    >>> data = keras_vtr.data.read_voc("Annotations", "JPEGImages")
    ... # doctest: +SKIP
    """
    folder = pathlib.Path(annotations)
    collector = RecordCollector(folder, images, invalid)
    roots = _parse_all(folder, names)
    labels = {
        path: _read_names(collector, path, x) for path, x in roots.items()
    }
    if class_names is None:
        class_names = sorted({x for names in labels.values() for x in names})
    class_names = check_class_names(class_names, may_lack=False)
    classes = {name: i for i, name in enumerate(class_names)}
    if len(classes) < len(class_names):
        raise ValueError(
            "`class_names` must differ, because the files identify a class by "
            f"its name. Received: class_names={class_names}"
        )
    for path, root in roots.items():
        collector.path = path
        size = [root.findtext(f"size/{x}") for x in ("height", "width")]
        name = root.findtext("filename", "").strip()
        record = collector.add_image("annotation", name, *size)
        if record is None:
            continue
        for i, row in enumerate(root.iterfind("object")):
            name = labels[path][i]
            if name not in classes:
                collector.refuse(
                    f"object[{i}].name", "is not in `class_names`", name
                )
            location = f"object[{i}].bndbox"
            collector.add_box(record, location, _read_box(row), classes[name])
    collector.path = folder
    return collector.finish(class_names, class_names)


def classes_of(annotations):
    """The names of all objects of a folder of XML files, sorted."""
    found = set()
    for root in _parse_all(annotations).values():
        found |= {
            x.findtext("name", "").strip() for x in root.iterfind("object")
        }
    return sorted(found - {""})


def _parse_all(folder, names=None):
    """The XML files by path: of these names, or all."""
    files = files_of(folder, (".xml",))
    if not files:
        raise AnnotationError(f"{folder} has no XML files.")
    if names is not None:
        found = {path.stem: path for path in files}
        missing = [x for x in names if x not in found]
        if missing:
            raise AnnotationError(
                f"{folder} must have an XML file for each name that a list of "
                f"pictures has. Missing: {missing[0]}.xml, and "
                f"{len(missing) - 1} more"
            )
        files = [found[x] for x in dict.fromkeys(names)]
    return {path: _parse(path) for path in files}


def _parse(path):
    try:
        content = path.read_bytes()
        # Unneeded here, and nested entities can fill the memory.
        if b"<!ENTITY" in content:
            raise AnnotationError(f"{path} defines XML entities.")
        return ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path} can't be read: {error}") from error


def _read_names(collector, path, root):
    """The names of all objects of a file."""
    collector.path = path
    return [
        collector.read(values.name, f"object[{i}].name", row.findtext("name"))
        for i, row in enumerate(root.iterfind("object"))
    ]


def _read_box(row):
    """`xywh` in pixels that count from 0; the texts if they aren't numbers."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    texts = [row.findtext(f"bndbox/{key}") for key in keys]
    try:
        x0, y0, x1, y1 = values.four_numbers(texts)
    except ValueError:
        return texts
    return x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1
