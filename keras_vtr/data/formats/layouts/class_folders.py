"""Folders of class folders, of one split or of each."""

import functools

from keras_vtr.data.formats.class_folders import class_folders
from keras_vtr.data.formats.class_folders import read_class_folders
from keras_vtr.data.formats.folders import SPLITS
from keras_vtr.data.formats.folders import holds_pictures
from keras_vtr.data.formats.folders import split_name
from keras_vtr.data.formats.folders import subfolders
from keras_vtr.data.formats.records import AnnotationError


def find_class_folders(folder):
    """FOLDER/train/CLASS/ and FOLDER/val/CLASS/, or FOLDER/CLASS/, "all"."""
    folders = subfolders(folder)
    splits = {
        path.name: path
        for path in folders
        if split_name(path.name) in SPLITS and _holds_classes(path)
    }
    if not splits:
        if not any(map(holds_pictures, folders)):
            return {}
        class_folders(folder)  # or an error that says what they are instead
        return {"all": functools.partial(_read, folder, None)}
    for path in folders:
        is_split = split_name(path.name) in SPLITS
        if path.name not in splits and (is_split or holds_pictures(path)):
            raise AnnotationError(
                f"{folder} has class folders in {', '.join(splits)}. Then "
                f"{path.name} must be a split with class folders, too, in "
                "which there are pictures; else move it elsewhere."
            )
    (train, *_) = [x for x in splits if split_name(x) == "train"] or [None]
    return {
        name: functools.partial(
            _read, path, splits[train] if train not in (None, name) else None
        )
        for name, path in splits.items()
    }


def _holds_classes(folder):
    return any(map(holds_pictures, subfolders(folder)))


def _read(folder, train, invalid="raise", masks=False):
    """Reads a split, with the classes of the one for training."""
    if masks:
        raise AnnotationError(
            f"{folder} has class folders, without masks. Received: masks=True"
        )
    names = None
    if train is not None:
        found = class_folders(train)
        names = sorted(x for x, path in found.items() if holds_pictures(path))
    return read_class_folders(folder, class_names=names, invalid=invalid)
