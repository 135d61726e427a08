"""Versions that appear whole or not at all."""

import os
import pathlib
import re
import shutil
import time
import uuid

HIDDEN_PREFIX = ".writing-"
# What a killed export left behind; none takes a day.
LEFTOVER_SECONDS = 24 * 3600


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
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    hidden = folder / f"{HIDDEN_PREFIX}{uuid.uuid4().hex}"
    hidden.mkdir()
    try:
        write(hidden)
        _write_through(hidden)
        while True:
            number = version or _highest(folder) + 1
            _check_version(folder, version)
            try:
                os.rename(hidden, folder / str(number))
                break
            except OSError:
                # Another one was faster, and has taken the next number.
                if version or not (folder / str(number)).exists():
                    raise
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    _flush(folder)
    return folder / str(number)


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


def _remove_leftovers(folder):
    for path in folder.glob(f"{HIDDEN_PREFIX}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _write_through(folder):
    for path in folder.rglob("*"):
        _flush(path)
    _flush(folder)


def _flush(path):
    """To the disk, so that a power cut after the rename finds it whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
