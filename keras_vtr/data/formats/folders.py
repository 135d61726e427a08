"""Lists the files and folders of a folder."""

import pathlib

from keras_vtr.data.formats.records import AnnotationError

DECODED = (".jpe", ".jpeg", ".jfif", ".jpg", ".mpo", ".png")
# Image formats that other programs read.
OTHERS = (".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jp2", ".pfm")
OTHERS += (".tif", ".tiff", ".webp")
SPLITS = ("train", "val", "test")
ALIASES = {"valid": "val", "validation": "val", "training": "train"}
ALIASES |= {"train2017": "train", "val2017": "val", "testing": "test"}


def files_of(folder, suffixes):
    """The files with one of these suffixes, in either case, sorted by name.

    Without hidden files, such as the `._a.png` that macOS adds to `a.png`.

    Raises:
        AnnotationError: If there is no such folder.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise AnnotationError(f"{folder} is not a folder.")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes
        and not path.name.startswith(".")
        and path.is_file()
    ]


def subfolders(folder):
    """The folders within a folder, sorted by name.

    Without hidden ones, and the one that macOS adds to archives.
    """
    return [
        path
        for path in sorted(pathlib.Path(folder).iterdir())
        if path.is_dir()
        and not path.name.startswith(".")
        and path.name != "__MACOSX"
    ]


def holds_pictures(folder):
    """Whether there is a picture directly in a folder."""
    return bool(files_of(folder, (*DECODED, *OTHERS)))


def split_name(name):
    """What a split is called here, such as "val" for "Validation"."""
    return ALIASES.get(name.lower(), name.lower())


def some_of(folder):
    """The first names in a folder, for messages."""
    names = sorted(path.name for path in pathlib.Path(folder).iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
