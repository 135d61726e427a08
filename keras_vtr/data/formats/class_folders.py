"""Pictures of one class each, in a folder for each class."""

import os
import unicodedata

import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats.collector import RecordCollector
from keras_vtr.data.formats.folders import DECODED
from keras_vtr.data.formats.folders import OTHERS
from keras_vtr.data.formats.folders import SPLITS
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.folders import some_of
from keras_vtr.data.formats.folders import split_name
from keras_vtr.data.formats.folders import subfolders
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import list_reasons
from keras_vtr.data.pictures.files import upright_shape

# Folders of other layouts, whose annotations are missing.
NO_CLASSES = {"annotations", "imagesets", "images", "jpegimages", "labels"}
NO_CLASSES |= {"masks", "segmentationclass", "segmentationobject"}


class ClassificationRecords:
    """Checked records of pictures with one class each.

    Args:
        records: A list of dicts: `"path"`; `"shape"` (height, width) of the
            upright picture; and `"label"`, 0..K-1.
        class_names: K names.
        dropped: Numbers of pictures and folders that were left out, by reason.

    `remarks` are texts on what is read but suspicious, `notes` on what is no
    fault.
    """

    remarks = ()
    notes = ()

    def __init__(self, records, class_names, dropped):
        self.records = records
        self.class_names = check_class_names(class_names)
        self.dropped = dropped

    @property
    def paths(self):
        """A list of n paths."""
        return [x["path"] for x in self.records]

    @property
    def labels(self):
        """(n,) int32."""
        return np.array([x["label"] for x in self.records], "int32")

    def __len__(self):
        return len(self.records)

    def __str__(self):
        return (
            f"{len(self)} images, {len(self.class_names)} classes; left out: "
            f"{list_reasons(self.dropped) or 'none'}"
        )


def read_class_folders(folder, *, class_names=None, invalid="raise"):
    """Reads a folder that holds a folder of pictures for each class.

    The folders' names are the classes, sorted, as
    `keras.utils.image_dataset_from_directory` has them. JPEGs and PNGs directly
    in them are read. Hidden files and folders, and files whose suffix is that
    of no picture, such as `Thumbs.db` or `notes.txt`, are ignored.

    Args:
        folder: The folder of class folders.
        class_names: K different names, in a list or a dict. Default: those of
            all folders. For validation data, give those of the training data;
            then a class may have no pictures.
        invalid: Treatment of a class folder without pictures, and of a picture
            that can't be read, is neither JPEG nor PNG, or is in no class
            folder or in a folder within one: `"raise"`; or `"drop"`, which
            leaves it out and counts it.

    Returns:
        A `keras_vtr.data.ClassificationRecords`.

    Raises:
        AnnotationError: A `ValueError` with folder and file: if there are fewer
            than two classes, a folder's name is not among `class_names`, is
            that of a split ("train") or belongs to another layout ("labels"),
            or no picture is left. Pictures are tested by their headers;
            `keras_vtr.data.inspect_records` decodes them.
        ValueError: If `class_names` are not different strings.

    Example:

    >>> data = keras_vtr.data.read_class_folders("pets/train")
    ... # doctest: +SKIP
    >>> held_out = keras_vtr.data.read_class_folders(
    ...     "pets/val", class_names=data.class_names
    ... )  # doctest: +SKIP
    """
    collector = RecordCollector(folder, folder, invalid)
    folders = class_folders(collector.folder)
    for path in _pictures(collector.folder):
        collector.drop(path.name, "is in no folder of a class", str(path))
    paths = {name: _of_class(collector, x) for name, x in folders.items()}
    given = class_names is not None
    for name in [x for x in paths if not paths[x] and not given]:
        collector.drop(
            f"the folder {name!r}", "has no picture", some_of(folders[name])
        )
        del paths[name]
    names = _check_names(collector, class_names if given else sorted(paths))
    for name in sorted(paths.keys() - set(names) if given else ()):
        collector.refuse(
            f"the folder {name!r}", "is not among `class_names`", names
        )
    return _records(collector, paths, names)


def class_folders(folder):
    """The folders of classes, by the name of the class.

    Raises:
        AnnotationError: If they are splits or parts of other layouts.
    """
    folders = {}
    for path in subfolders(folder):
        # macOS and other systems write accents differently.
        name = unicodedata.normalize("NFC", path.name)
        if name in folders:
            raise AnnotationError(f"{folder}: the class {name!r} occurs twice.")
        folders[name] = path
    wrong = [x for x in folders if x.casefold() in NO_CLASSES]
    if all(split_name(x) in SPLITS for x in folders):  # "train" may be a class
        wrong = list(folders)
    if wrong:
        raise AnnotationError(
            f"{folder} must hold a folder of pictures for each class. "
            f"Received: {', '.join(wrong)}, names of splits or of parts of "
            "other layouts. If they are classes, rename them; if not, the "
            "class folders or the annotations are missing."
        )
    return folders


def _check_names(collector, names):
    names = check_class_names(names, may_lack=False)
    if len(set(names)) < len(names):
        raise ValueError(
            "`class_names` must differ, because the folders identify a class "
            f"by its name. Received: class_names={names}"
        )
    if len(names) < 2:
        raise AnnotationError(
            f"{collector.path} must hold folders of pictures for two classes "
            f"or more. Received: {', '.join(names) or 'none'}, in a folder "
            f"with {some_of(collector.folder) or 'nothing'}"
        )
    return names


def _pictures(folder):
    return files_of(folder, (*DECODED, *OTHERS))


def _of_class(collector, folder):
    """The pictures of a class folder; those in folders within are dropped."""
    for inner in subfolders(folder):
        held = [
            x
            for x in inner.rglob("[!.]*")
            if x.suffix.lower() in (*DECODED, *OTHERS)
        ]
        if held:
            place = inner.relative_to(collector.folder)
            why = "is a folder with pictures within that of a class"
            collector.drop(f"the folder {str(place)!r}", why, str(held[0]))
    return _pictures(folder)


def _records(collector, paths, names):
    records = []
    for label, name in enumerate(names):
        for path in paths.get(name, ()):
            place = os.path.join(name, path.name)
            if path.suffix.lower() in OTHERS:
                collector.drop(place, "is neither JPEG nor PNG", str(path))
                continue
            try:
                shape = upright_shape(path)
            except OSError as error:
                collector.drop(place, "is not a picture", str(error))
                continue
            records.append({"path": str(path), "shape": shape, "label": label})
    data = ClassificationRecords(records, names, collector.dropped)
    if not records:
        raise AnnotationError(f"{collector.path} has no picture: {data}")
    return data
