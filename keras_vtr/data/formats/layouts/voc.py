"""Pascal VOC's folders."""

import functools

from keras_vtr.data.formats.folders import DECODED
from keras_vtr.data.formats.folders import SPLITS
from keras_vtr.data.formats.folders import files_of
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.voc import classes_of
from keras_vtr.data.formats.voc import read_voc


def find_voc(folder):
    """http://host.robots.ox.ac.uk/pascal/VOC: JPEGImages/, Annotations/, and
    ImageSets/Main/ with the names of each split's files."""
    annotations, images = folder / "Annotations", folder / "JPEGImages"
    if not (annotations.is_dir() and images.is_dir()):
        return {}
    lists = folder / "ImageSets" / "Main"
    splits = {x: lists / f"{x}.txt" for x in SPLITS}
    splits = {x: _names(path) for x, path in splits.items() if path.is_file()}
    if not splits.keys() & {"train", "val"}:
        whole = lists / "trainval.txt"
        splits["train"] = _names(whole) if whole.is_file() else None
        if "test" in splits and not whole.is_file():
            raise AnnotationError(
                f"{lists} has test.txt and must have train.txt or "
                "trainval.txt, too."
            )
    return {
        name: functools.partial(_read, annotations, images, names)
        for name, names in splits.items()
    }


def _names(path):
    """The first word of each line: lists of a class have a second one."""
    lines = path.read_text("utf-8-sig").splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise AnnotationError(f"{path} lists no picture.")
    return names


def _read(annotations, images, names, invalid="raise", masks=False):
    """Reads a split, with the classes of all splits."""
    if masks:
        raise AnnotationError(
            f"{annotations} has boxes without outlines. Received: masks=True"
        )
    data = read_voc(
        annotations,
        images,
        class_names=classes_of(annotations),
        names=names,
        invalid=invalid,
    )
    if names is None:
        read = {x.stem for x in files_of(annotations, (".xml",))}
        pictures = files_of(images, DECODED)
        others = [x.name for x in pictures if x.stem not in read]
        if others:
            data.remarks += (
                f"{images}: {len(others)} pictures have no XML file and are "
                f"not read, such as {others[0]}",
            )
    return data
