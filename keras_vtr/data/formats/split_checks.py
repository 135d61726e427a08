"""What is suspicious about splits of a data set and their classes."""

import collections

import numpy as np

from keras_vtr.data.formats.contents import content_hash
from keras_vtr.data.formats.contents import same_pictures
from keras_vtr.data.formats.records import AnnotationError

NUM_SHOWN = 10  # pictures of a text


def count_examples(data):
    """Numbers of boxes or, of class folders, pictures of each class.

    Args:
        data: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.

    Returns:
        A dict by name, with the class if a name occurs twice.
    """
    labels = [np.ravel(labels_of(x)) for x in data.records]
    counts = np.bincount(
        np.concatenate(labels or [np.zeros(0, "int32")]),
        minlength=len(data.class_names),
    )
    times = collections.Counter(data.class_names)
    titles = [
        name if times[name] == 1 else f"{name} (class {i})"
        for i, name in enumerate(data.class_names)
    ]
    return dict(zip(titles, counts.tolist(), strict=True))


def labels_of(record):
    """The labels of a picture's boxes, or its only one."""
    return record["labels"] if "labels" in record else record["label"]


def rare_classes(data, least=2):
    """A text for each class with fewer examples: one or none."""
    example = "picture" if hasattr(data, "labels") else "box"
    for name, number in count_examples(data).items():
        if number < least:
            yield f"{('no', 'one')[number]} {example} of the class {name!r}"


def contradictory_classes(data):
    """A text for each picture that is in the folders of two classes."""
    paths = {}
    for record in data.records:
        first = paths.setdefault(content_hash(record["path"]), record)
        if first["label"] != record["label"]:
            yield f"{record['path']} is {first['path']}, of another class"


def check_classes(splits):
    """Refuses splits whose classes differ.

    Args:
        splits: Dict from names to data sets.

    Raises:
        AnnotationError: With the classes that only one of them has.
    """
    (first, *others) = splits
    names = splits[first].class_names
    for other in others:
        found = splits[other].class_names
        if found == names:
            continue
        only = [
            *(f"{x!r} is only in {first}" for x in names if x not in found),
            *(f"{x!r} is only in {other}" for x in found if x not in names),
        ]
        order = f"in {first} they are {names}, in {other} {found}"
        raise AnnotationError(
            f"The classes of {first} and {other} must be the same, in the same "
            f"order. Received: {'; '.join(only) or order}"
        )


def shared_pictures(splits):
    """A text for each two splits that have pictures in common."""
    names = list(splits)
    paths = {x: [y["path"] for y in splits[x].records] for x in names}
    for i, first in enumerate(names):
        for other in names[i + 1 :]:
            pairs = same_pictures(paths[first], paths[other])
            if pairs:
                shown = [f"{x} is {y}" for x, y in pairs[:NUM_SHOWN]]
                shown += ["..."] * (len(pairs) > NUM_SHOWN)
                yield (
                    f"{len(pairs)} pictures of {first} are in {other}, too: "
                    f"{', '.join(shown)}"
                )
