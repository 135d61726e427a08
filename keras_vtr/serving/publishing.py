"""Publishes versions atomically."""

import pathlib
import re

from keras_vtr.atomic_folder import write_folder


def publish(folder, version, write):
    """Writes a version into a hidden folder and renames it when complete.

    TF Serving polls the folder and loads each numbered sub-folder, complete or
    not. Hence one appears only when it is complete and on the disk.

    Args:
        folder: The model's folder; created if it doesn't exist.
        version: An integer, 1 or more, or None for one more than the highest.
        write: Function that fills an empty folder, called with its path. If it
            raises an error, the folder is removed.

    Returns:
        The `pathlib.Path` of the version.

    Raises:
        ValueError: If `version` is no such number.
        FileExistsError: If the version exists.
    """
    folder = pathlib.Path(folder)
    _check_version(folder, version)

    def name():
        _check_version(folder, version)
        return str(version or _highest(folder) + 1)

    return write_folder(folder, name, write)


def versions(folder):
    """The numbers of a model's versions, in ascending order."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(int(x) for x in names if re.fullmatch("[0-9]+", x))


def _highest(folder):
    return max(versions(folder), default=0)


def _check_version(folder, version):
    if version is None:
        return
    if not isinstance(version, int) or version < 1:
        raise ValueError(
            "`version` must be an integer, 1 or more, or None for the next. "
            f"Received: version={version!r}"
        )
    if version in versions(folder):
        raise FileExistsError(
            f"{folder} has a version {version} already, and a server may have "
            "loaded it. Give another `version`, or None for "
            f"{_highest(folder) + 1}."
        )
