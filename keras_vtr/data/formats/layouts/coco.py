"""Folders with annotations in COCO's format: ours, Roboflow's, CVAT's."""

import functools

from keras_vtr.data.formats.coco import read_coco
from keras_vtr.data.formats.coco import read_json
from keras_vtr.data.formats.coco import uses_root
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.records import AnnotationError


def find_own(folder):
    """Our own layout: train.json beside train/."""
    return {
        path.stem: functools.partial(read_coco, path, path.with_suffix(""))
        for path in files_of(folder, (".json",))
        if path.with_suffix("").is_dir()
    }


def find_roboflow(folder):
    """https://docs.roboflow.com, "COCO JSON": pictures beside the file."""
    paths = sorted(folder.glob("[!.]*/_annotations.coco.json"))
    return {
        path.parent.name: functools.partial(_read_roboflow, path, paths)
        for path in paths
    }


def _read_roboflow(path, paths, **options):
    """Reads a split; the root is a class of all if it is one of any."""
    keep_root = any(_uses_root(x) for x in paths)
    return read_coco(path, path.parent, keep_root=keep_root, **options)


def _uses_root(path):
    try:
        return uses_root(read_json(path))
    except AnnotationError:  # said when that split is read
        return False


def find_instances(folder):
    """https://docs.cvat.ai, "COCO": images/ contains the pictures, or a folder
    per split; COCO itself has these folders beside annotations/."""
    splits = {}
    for path in sorted(folder.glob("annotations/instances_*.json")):
        name = path.stem.removeprefix("instances_")
        folders = (folder / "images" / name, folder / name)
        images = next((x for x in folders if x.is_dir()), folder / "images")
        splits[name] = functools.partial(read_coco, path, images)
    return splits
