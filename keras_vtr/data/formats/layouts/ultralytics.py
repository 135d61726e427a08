"""Ultralytics' data.yaml, which names pictures and classes."""

import functools
import os
import pathlib

import yaml

from keras_vtr.class_names import check_class_names
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.folders import holds_pictures
from keras_vtr.data.formats.folders import subfolders
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.yolo import Source
from keras_vtr.data.formats.yolo import read_sources


def find_data_yaml(folder):
    """The splits of the folder's data.yaml."""
    files = files_of(folder, (".yaml", ".yml"))
    paths = [x for x in files if x.name in ("data.yaml", "data.yml")]
    return read_data_yaml(paths[0]) if paths else {}


def read_data_yaml(path):
    """https://docs.ultralytics.com/datasets/detect: `path`, `names`, and for
    each split a folder, a .txt that lists pictures, or a list of these."""
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
            places = _places(path, content.get("path"), name, content[name])
            splits[name] = functools.partial(_read, places, names)
    if not splits:
        raise AnnotationError(f"{path} names no folder as train, val or test.")
    return splits


def _read(places, names, **options):
    sources = [x for place in places for x in _sources(*place)]
    return read_sources(sources, names, **options)


def _places(path, root, name, value):
    """Each file or folder that a line of data.yaml names, and its root."""
    root = "" if root is None else root
    values = value if isinstance(value, list) else [value]
    are_texts = all(isinstance(x, str) and x.strip() for x in values)
    if not values or not are_texts or not isinstance(root, str):
        raise AnnotationError(
            f"{path}: `path` and `{name}` must each name a folder. Received: "
            f"path={root!r:.80}, {name}={value!r:.80}. `{name}` may also name "
            "a .txt that lists pictures, or be a list of these."
        )
    root = path.parent / root
    places = []
    for value in values:
        # Roboflow writes ../train/images instead of train/images.
        place, inner = root / value, root / value.removeprefix("../")
        is_inner = inner.exists() and not place.exists()
        places.append((inner if is_inner else place, root))
    return places


def _sources(place, root):
    if place.suffix.lower() == ".txt":
        return _listed(place, root)
    # Like Ultralytics, with the folders within.
    folders = [place]
    for folder in folders:
        folders += subfolders(folder) if folder.is_dir() else []
    held = [x for x in folders if x.is_dir() and holds_pictures(x)]
    return [Source(_labels_of(x), x) for x in held or [place]]


def _listed(path, root):
    """The folders of the pictures that a text file lists."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path} can't be read: {error}") from error
    names = {}
    for line in filter(None, map(str.strip, lines)):
        # A leading "./" is the place of the list.
        is_here = line.startswith("./")
        bases = (path.parent, root) if is_here else (root, path.parent)
        places = [pathlib.Path(os.path.normpath(x / line)) for x in bases]
        place = next((x for x in places if x.exists()), places[0])
        names.setdefault(place.parent, []).append(place.name)
    if not names:
        raise AnnotationError(f"{path} lists no picture.")
    return [Source(_labels_of(x), x, tuple(y)) for x, y in names.items()]


def _labels_of(images):
    """The folder of labels: the last "images" of the path is "labels"."""
    parts = images.parts
    if "images" not in parts:
        return images
    last = len(parts) - 1 - parts[::-1].index("images")
    return pathlib.Path(*parts[:last], "labels", *parts[last + 1 :])
