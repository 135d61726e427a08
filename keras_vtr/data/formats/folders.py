"""What lies in a folder."""

import pathlib

from keras_vtr.data.formats.records import AnnotationError


def files_of(folder, suffixes):
    """Its files with one of these endings, in either case, by name.

    Hidden ones, such as the `._a.png` that macOS puts beside `a.png`, are none.

    Raises:
        AnnotationError: If the folder isn't there.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise AnnotationError(f"{folder} is no folder.")
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
