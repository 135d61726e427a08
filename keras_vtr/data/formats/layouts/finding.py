"""Finds out which layout a data folder has."""

import dataclasses
import functools
import os
import pathlib

from keras_vtr.data.formats.dividing import divide
from keras_vtr.data.formats.folders import some_of
from keras_vtr.data.formats.folders import split_name
from keras_vtr.data.formats.folders import subfolders
from keras_vtr.data.formats.layouts.class_folders import find_class_folders
from keras_vtr.data.formats.layouts.coco import find_instances
from keras_vtr.data.formats.layouts.coco import find_own
from keras_vtr.data.formats.layouts.coco import find_roboflow
from keras_vtr.data.formats.layouts.ultralytics import find_data_yaml
from keras_vtr.data.formats.layouts.ultralytics import read_data_yaml
from keras_vtr.data.formats.layouts.voc import find_voc
from keras_vtr.data.formats.records import AnnotationError

DATA_YAML = "data.yaml (Ultralytics)"
# What a layout is called, and the function that finds its splits in a folder.
LAYOUTS = {
    "NAME.json beside a folder NAME (keras_vtr)": find_own,
    "NAME/_annotations.coco.json (Roboflow's COCO)": find_roboflow,
    "annotations/instances_NAME.json with images/ (COCO, CVAT)": find_instances,
    DATA_YAML: find_data_yaml,
    "JPEGImages/ and Annotations/ (Pascal VOC)": find_voc,
}
# Asked last, because any folders of pictures look like these.
WITHOUT_ANNOTATIONS = {
    "a folder of pictures for each class": find_class_folders
}


def register_layout(words, find):
    """Adds a layout of data folders.

    `keras-vtr inspect`, `train` and `evaluate` then read it like ours.

    Args:
        words: What it is called when it is recognized: a short text.
        find: A function of the folder, a `pathlib.Path`. It returns a dict of
            the splits by name, empty if the folder has another layout. Each is
            a function of `invalid=` and `masks=`, as of
            `keras_vtr.data.read_coco`, that returns
            `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.

    Raises:
        ValueError: If an argument is something else.

    Example:

    >>> import functools
    >>> def find(folder):
    ...     if not (folder / "boxes.json").is_file():
    ...         return {}
    ...     read = functools.partial(
    ...         keras_vtr.data.read_coco, folder / "boxes.json", folder
    ...     )
    ...     return {"train": read}
    >>> keras_vtr.data.register_layout("boxes.json among the pictures", find)
    """
    if not isinstance(words, str) or not words.strip() or not callable(find):
        raise ValueError(
            "`words` must be a text, and `find` a function of a folder. "
            f"Received: words={words!r}, find={find!r}"
        )
    LAYOUTS[words] = find


@dataclasses.dataclass(frozen=True)
class DataFolder:
    """What a data folder holds.

    Args:
        path: The folder, or its data.yaml.
        layout: What its layout is called.
        splits: Dict from names to functions of `invalid=` and `masks=` that
            return `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.
    """

    path: pathlib.Path
    layout: str
    splits: dict

    def __str__(self):
        return f"{self.path}: {self.layout}; splits: {', '.join(self.splits)}"

    @property
    def undivided(self):
        """The split that validation is taken from; None if it has its own."""
        names = {split_name(x): x for x in self.splits}
        if "val" in names:
            return None
        if len(names) == 1 and "test" not in names:
            return next(iter(self.splits))
        return names.get("train")

    def divided(self, split_file, seed=0):
        """With splits "train" and "val" if there is no split for validation.

        Args:
            split_file: Path of a file as `keras_vtr.data.formats.dividing`
                describes it, or None.
            seed: Of the split, where the file isn't there yet.

        Returns:
            A `DataFolder`, this one if it has a split for validation.
        """
        whole = self.undivided
        if whole is None:
            return self

        @functools.cache
        def parts(**options):
            data = self.splits[whole](**options)
            return divide(data, split_file, seed=seed)

        splits = {name: x for name, x in self.splits.items() if name != whole}
        for i, name in enumerate(("train", "val")):
            splits[name] = lambda i=i, **options: parts(**options)[i]
        place = "a split by the seed" if split_file is None else split_file
        words = f"{self.layout}, where {place} takes val from {whole}"
        return dataclasses.replace(self, layout=words, splits=splits)


def find_splits(folder):
    """Finds the splits of a data folder.

    Args:
        folder: The folder; or a file in the form of Ultralytics' data.yaml.

    Returns:
        A `DataFolder`.

    Raises:
        AnnotationError: If not exactly one layout fits, or a folder can't be
            read.
    """
    folder = pathlib.Path(folder)
    if folder.is_file():
        return DataFolder(folder, DATA_YAML, read_data_yaml(folder))
    if not folder.is_dir():
        raise AnnotationError(f"{folder} does not exist.")
    _check_access(folder)
    found = {}
    for layouts in (LAYOUTS, WITHOUT_ANNOTATIONS):
        if not found:
            found = {words: find(folder) for words, find in layouts.items()}
            found = {words: splits for words, splits in found.items() if splits}
    if len(found) != 1:
        layouts = " and ".join(found) or f"none of {'; '.join(LAYOUTS)}"
        raise AnnotationError(
            f"{folder} must hold annotations in one layout. Received: "
            f"{layouts}, in a folder with {some_of(folder) or 'nothing'}"
        )
    ((layout, splits),) = found.items()
    return DataFolder(folder, layout, splits)


def _check_access(folder):
    """Patterns of file names pass over what can't be read."""
    try:
        for path in (folder, *subfolders(folder)):
            os.scandir(path).close()
    except OSError as error:
        raise AnnotationError(
            f"{error.filename} can't be read: {error.strerror}"
        ) from error
