"""Folders that appear complete or not at all."""

import os
import pathlib
import shutil
import time
import uuid

HIDDEN_PREFIX = ".writing-"
# Older hidden folders are from killed processes: no write takes a day.
LEFTOVER_SECONDS = 24 * 3600


def write_folder(parent, name, write):
    """Writes a hidden folder and renames it when it is on the disk.

    Args:
        parent: The parent folder; created if missing.
        name: Name of the new folder; or a function that returns it, called
            after writing, and again if another process took the name.
        write: Called with the path of an empty folder to fill. If it raises,
            the error is raised again, and nothing is left.

    Returns:
        The `pathlib.Path` of the folder.
    """
    parent = pathlib.Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    hidden = parent / f"{HIDDEN_PREFIX}{uuid.uuid4().hex}"
    hidden.mkdir()
    try:
        write(hidden)
        for path in hidden.rglob("*"):
            _flush(path)
        _flush(hidden)
        target = _rename(hidden, parent, name)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    _flush(parent)
    return target


def remove_folder(path):
    """Removes a folder so that it is never visible in part."""
    hidden = path.parent / f"{HIDDEN_PREFIX}{uuid.uuid4().hex}"
    try:
        os.rename(path, hidden)
    except FileNotFoundError:
        return
    shutil.rmtree(hidden, ignore_errors=True)


def _rename(hidden, parent, name):
    while True:
        target = parent / (name() if callable(name) else name)
        try:
            os.rename(hidden, target)
            return target
        except OSError:
            if not callable(name) or not target.exists():
                raise


def _remove_leftovers(parent):
    for path in parent.glob(f"{HIDDEN_PREFIX}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _flush(path):
    """Flushes to the disk, so that a power cut after the rename is safe."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
