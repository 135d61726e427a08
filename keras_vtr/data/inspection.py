"""What there is to know of a data set before it is trained on."""

import collections
import concurrent.futures

import numpy as np
import tensorflow as tf

from keras_vtr.data.image_reading import BrokenImages
from keras_vtr.data.image_reading import read_file

# Sides of a box relative to its image's, the upper ends of the histogram.
SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def inspect_records(data, *, max_objects=100, read_images=True):
    """Counts what a data set holds, and looks for what may go wrong.

    Args:
        data: `keras_vtr.data.DetectionRecords`.
        max_objects: As many queries as the detector will have.
        read_images: Whether each picture is decoded, which takes as long as a
            pass of training's reading.

    Returns:
        A dict: `"summary"`, a text; `"classes"`, boxes by name; `"sizes"`,
        boxes by the upper end of their size, the square root of their share of
        the image; `"problems"`, a list of texts.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train", invalid="drop")
    ... # doctest: +SKIP
    >>> report = keras_vtr.data.inspect_records(data)
    ... # doctest: +SKIP
    """
    if not data.records:
        raise ValueError("`data` must hold at least one image.")
    labels = np.concatenate([x["labels"] for x in data.records])
    counts = np.bincount(labels, minlength=len(data.class_names))
    classes = dict(zip(data.class_names, counts.tolist(), strict=True))
    unused = [name for name, number in classes.items() if not number]
    return {
        "summary": str(data),
        "classes": classes,
        "sizes": _sizes(data.records),
        "problems": [
            *_left_out(data),
            *(f"no box of the class {name!r}" for name in unused),
            *_of_records(data.records, max_objects),
            *(_broken(data.records) if read_images else ()),
        ],
    }


def _left_out(data):
    for why, number in data.dropped.items():
        yield f"left out, since it {why}: {number}"


def _sizes(records):
    """Of all boxes, sqrt(area / area of the image)."""
    sizes = []
    for record in records:
        height, width = record["shape"]
        sides = record["boxes"][:, 2:] - record["boxes"][:, :2]
        sizes.extend(np.sqrt(sides.prod(axis=1) / (height * width)))
    places = np.searchsorted(SIZES[:-1], sizes)
    counts = np.bincount(places, minlength=len(SIZES))
    return dict(zip(SIZES, counts.tolist(), strict=True))


def _of_records(records, max_objects):
    paths = collections.Counter(x["path"] for x in records)
    for path, number in paths.items():
        if number > 1:
            yield f"{path}: listed {number} times"
    empty = sum(not len(x["labels"]) for x in records)
    if empty:
        yield f"images without a box: {empty}"
    for record in records:
        if len(record["labels"]) > max_objects:
            number = len(record["labels"])
            yield f"{record['path']}: {number} boxes, more than {max_objects}"
        rows = np.column_stack([record["labels"], record["boxes"]])
        twice = len(rows) - len(np.unique(rows, axis=0))
        if twice:
            yield f"{record['path']}: {twice} boxes stand there twice"


def _broken(records):
    """The pictures that can't be read, or have another size."""
    shapes = {x["path"]: x["shape"] for x in records}
    broken = BrokenImages("raise", 0, shapes)

    read = tf.function(
        lambda path: read_file(path)[1],
        input_signature=[tf.TensorSpec((), tf.string)],
    )

    def problem(path):
        shape = tuple(read(path).numpy().tolist())
        if shape == shapes[path]:
            return None
        return f"{path}: {broken.reason(path, shape)}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [x for x in pool.map(problem, shapes) if x]
