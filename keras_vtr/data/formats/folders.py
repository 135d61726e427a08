"""Lists the files of a folder."""

import pathlib

from keras_vtr.data.formats.records import AnnotationError


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


def some_of(folder):
    """The first names in a folder, for messages."""
    names = sorted(path.name for path in pathlib.Path(folder).iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
