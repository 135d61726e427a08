"""The layouts of data folders: our own, and those of exporters."""

import functools
import pathlib

import yaml

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats.coco import read_coco
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.folders import some_of
from keras_vtr.data.formats.folders import split_name
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.yolo import read_yolo

ALIASES = {"valid": "val", "validation": "val", "training": "train"}
ALIASES |= {"train2017": "train", "val2017": "val"}


def read_split(folder, name, invalid="raise", masks=False):
    """Reads a split of a data folder.

    Args:
        folder: A data folder, or its data.yaml.
        name: "train", "val" or another; synonyms such as "valid", "Validation"
            or "Train" are found, too.
        invalid: As for `keras_vtr.data.read_coco`.
        masks: Whether to read masks, too.

    Returns:
        A `keras_vtr.data.DetectionRecords` with at least one box.

    Raises:
        AnnotationError: If there is no such split, or no box in it.
    """
    splits = find_splits(folder)
    named = [x for x in splits if x == name]
    named = named or [x for x in splits if split_name(x) == split_name(name)]
    if len(named) != 1:
        raise AnnotationError(
            f"{folder} must hold the split {name!r} once. Received: "
            f"{sorted(splits)}"
        )
    data = splits[named[0]](invalid=invalid, masks=masks)
    if not data.num_boxes:
        raise AnnotationError(
            f"The split {name!r} of {folder} has no box to learn or to "
            f"evaluate. Received: {data}"
        )
    return data


def find_splits(folder):
    """Finds the splits of a data folder.

    Returns:
        Dict from names to functions of `invalid=` and `masks=` that return
        `DetectionRecords`.

    Raises:
        AnnotationError: If not exactly one layout fits.
    """
    folder = pathlib.Path(folder)
    if folder.is_file():
        return _ultralytics(folder)
    if not folder.is_dir():
        raise AnnotationError(f"{folder} does not exist.")
    found = {name: find(folder) for name, find in LAYOUTS.items()}
    found = {name: splits for name, splits in found.items() if splits}
    if len(found) != 1:
        layouts = " and ".join(found) or f"none of {'; '.join(LAYOUTS)}"
        raise AnnotationError(
            f"{folder} must hold annotations in one layout. Received: "
            f"{layouts}, in a folder with {some_of(folder) or 'nothing'}"
        )
    return next(iter(found.values()))


def _own(folder):
    return {
        path.stem: functools.partial(read_coco, path, path.with_suffix(""))
        for path in files_of(folder, (".json",))
        if path.with_suffix("").is_dir()
    }


def _roboflow(folder):
    """https://docs.roboflow.com, "COCO JSON": pictures beside the file."""
    paths = sorted(folder.glob("[!.]*/_annotations.coco.json"))
    return {
        path.parent.name: functools.partial(read_coco, path, path.parent)
        for path in paths
    }


def _cvat(folder):
    """https://docs.cvat.ai, "COCO": images/ contains the pictures, or a folder
    per split; COCO itself has these folders beside annotations/."""
    splits = {}
    for path in sorted(folder.glob("annotations/instances_*.json")):
        name = path.stem.removeprefix("instances_")
        folders = (folder / "images" / name, folder / name)
        images = next((x for x in folders if x.is_dir()), folder / "images")
        splits[name] = functools.partial(read_coco, path, images)
    return splits


def _data_yaml(folder):
    files = files_of(folder, (".yaml", ".yml"))
    paths = [x for x in files if x.name in ("data.yaml", "data.yml")]
    return _ultralytics(paths[0]) if paths else {}


def _ultralytics(path):
    """https://docs.ultralytics.com/datasets/detect: folders of pictures; in the
    folders of labels, the last "images" of the path is "labels"."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise AnnotationError(
            f"{path} must hold train, val and names. Received: {content!r:.80}"
        )
    if "kpt_shape" in content:
        raise AnnotationError(f"{path} is for key points, not for boxes.")
    try:
        names = content.get("names")
        names = check_class_names(names, content.get("nc"), may_lack=False)
    except ValueError as error:
        raise AnnotationError(f"{path}: {error}") from error
    splits = {}
    for name in ("train", "val", "valid", "test"):
        if content.get(name) is not None:
            images = _find_pictures(
                path, content.get("path"), name, content[name]
            )
            labels = _find_labels(images)
            splits[name] = functools.partial(read_yolo, labels, images, names)
    if not splits:
        raise AnnotationError(f"{path} names no folder as train, val or test.")
    return splits


def _find_pictures(path, root, name, value):
    """The folder that a line of data.yaml names."""
    root = "" if root is None else root
    is_folder = isinstance(value, str) and not value.endswith(".txt")
    if not is_folder or not isinstance(root, str):
        raise AnnotationError(
            f"{path}: `path` and `{name}` must each name a folder. Received: "
            f"path={root!r:.80}, {name}={value!r:.80}"
        )
    folder = path.parent / root / value
    # Roboflow writes ../train/images instead of train/images.
    inner = path.parent / root / value.removeprefix("../")
    return inner if inner.is_dir() and not folder.is_dir() else folder


def _find_labels(images):
    parts = images.parts
    if "images" not in parts:
        return images
    last = len(parts) - 1 - parts[::-1].index("images")
    return pathlib.Path(*parts[:last], "labels", *parts[last + 1 :])


LAYOUTS = {
    "NAME.json beside a folder NAME": _own,
    "NAME/_annotations.coco.json": _roboflow,
    "annotations/instances_NAME.json with images/": _cvat,
    "data.yaml": _data_yaml,
}
