"""Versions that appear whole or not at all."""

import pathlib
import re

from keras_vtr.atomic_folder import write_folder


def publish(folder, version, write):
    """Writes a version into a hidden sibling and renames it when it is whole.

    TF Serving polls the folder and loads each numbered sub-folder that
    appears, complete or not, so none appears before it is complete and on the
    disk.

    Args:
        folder: The model's folder; made if it isn't there.
        version: An integer from 1 on, or None for one more than the highest.
        write: Called with the path of an empty folder to fill. What it raises
            is raised again, and nothing is left.

    Returns:
        The `pathlib.Path` of the version.

    Raises:
        ValueError: If `version` is no such number.
        FileExistsError: If it is there already.
    """
    folder = pathlib.Path(folder)
    _check_version(folder, version)

    def name():
        _check_version(folder, version)
        return str(version or _highest(folder) + 1)

    return write_folder(folder, name, write)


def versions(folder):
    """The numbers of a model's versions, rising."""
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
            "`version` must be an integer from 1 on, or None for the next one. "
            f"Received: version={version!r}"
        )
    if version in versions(folder):
        raise FileExistsError(
            f"{folder} has a version {version} already, and a server may have "
            "loaded it. Give another `version`, or None for "
            f"{_highest(folder) + 1}."
        )
