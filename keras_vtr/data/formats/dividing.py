"""Takes a part of a data set for validation."""

import collections
import copy
import hashlib
import json
import os
import pathlib

import numpy as np

from keras_vtr.data.formats.contents import content_hash
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.split_checks import labels_of
from keras_vtr.json_text import json_text

SPLIT_FILE = "split.json"  # in the folder of a run or a report
SHARE = 0.15  # of the pictures, for validation


def divide(data, path, *, seed=0, share=SHARE):
    """Divides records into those of training and those of validation.

    If a file of `write_split` is there, it counts, whatever the seed: so a run
    that is resumed and its evaluation have the same split. Pictures that were
    added since are of training, renamed ones stay where they were. Identical
    pictures, and copies that Roboflow augmented (`NAME.rf.HASH.jpg`), are on
    one side.

    Without the file, the pictures are put in an order that depends on their
    contents and the seed alone. From the rarest class to the most frequent one,
    a class that has none yet gives its first picture to validation; then the
    first ones follow until there are enough. What would leave training without
    any picture of a class stays there. So each class is on both sides if it
    has two pictures that aren't the only ones of another class, and there may
    be more than `share` where many classes have few pictures.

    Args:
        data: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.
        path: Of the file, which may not be there; None for no file.
        seed: An integer.
        share: Of the pictures, for validation.

    Returns:
        Two data sets, of training and validation. All that was left out, the
        remarks and the notes stay with the first one. One is empty if the
        file is of other data.

    Raises:
        AnnotationError: If the file isn't one of these, or no picture can be
            spared for validation.
    """
    hashes = [content_hash(x["path"]) for x in data.records]
    if path is not None and os.path.exists(path):
        held_out = _read(pathlib.Path(path))
    else:
        held_out = _choose(data.records, hashes, seed, share)
        if not held_out:
            raise AnnotationError(
                "Some pictures must be taken for validation, but each that has "
                f"a class is the only one of it. Received: {data}. Add "
                "pictures, or a split of your own."
            )
    rows = list(zip(data.records, hashes, strict=True))
    train, val = copy.copy(data), copy.copy(data)
    train.records = [record for record, x in rows if x not in held_out]
    val.records = [record for record, x in rows if x in held_out]
    val.dropped, val.remarks, val.notes = collections.Counter(), (), ()
    if hasattr(val, "clipped"):
        val.clipped = 0
    return train, val


def write_split(val, path, *, seed=0, share=SHARE):
    """Writes which pictures are of validation, if the file isn't there.

    It lists them by the SHA-256 of their content, with their names for the
    reader.

    Args:
        val: The second data set of `divide`.
        path: Of the file, JSON.
        seed: As for `divide`, for the reader.
        share: Likewise.
    """
    path = pathlib.Path(path)
    if path.exists():
        return
    names = {
        content_hash(x["path"]): os.path.basename(x["path"])
        for x in val.records
    }
    names = dict(sorted(names.items(), key=lambda x: x[::-1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f"{path.name}.writing")
    content = {"seed": seed, "share": share, "val": names}
    hidden.write_text(json_text(content))
    hidden.rename(path)


def _choose(records, hashes, seed, share):
    """The contents of the pictures for validation."""
    classes, contents = _grouped(records, hashes)
    order = sorted(
        classes, key=lambda x: hashlib.sha256(f"{seed} {x}".encode()).digest()
    )
    with_class = collections.defaultdict(list)
    for group in order:
        for label in classes[group]:
            with_class[label].append(group)
    left = {label: len(groups) for label, groups in with_class.items()}
    chosen = {}  # in order, as a set

    def choose_first(groups):
        for group in groups:
            spared = all(left[x] > 1 for x in classes[group])
            if group not in chosen and spared and len(chosen) + 1 < len(order):
                chosen[group] = True
                for label in classes[group]:
                    left[label] -= 1
                return

    for label in sorted(left, key=lambda x: (left[x], x)):
        if left[label] == len(with_class[label]):
            choose_first(with_class[label])
    for group in order:
        if len(chosen) < share * len(order):
            choose_first([group])
    if not any(classes[x] for x in chosen):  # pictures without a box at most
        return set()
    return {x for group in chosen for x in contents[group]}


def _grouped(records, hashes):
    """The classes and the contents of the pictures that stay together."""
    classes = collections.defaultdict(set)
    contents = collections.defaultdict(set)
    groups = {}
    for record, content in zip(records, hashes, strict=True):
        source, is_copy, _ = os.path.basename(record["path"]).partition(".rf.")
        group = groups.setdefault(content, source if is_copy else content)
        contents[group].add(content)
        classes[group].update(np.ravel(labels_of(record)).tolist())
    return classes, contents


def _read(path):
    try:
        content = json.loads(path.read_bytes())
        held_out = content["val"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"{path} can't be read as a split: {error!r}"
        ) from error
    if not isinstance(held_out, dict) or not held_out:
        raise AnnotationError(
            f"{path} must list pictures of validation. Received: "
            f"{held_out!r:.80}"
        )
    return held_out.keys()
