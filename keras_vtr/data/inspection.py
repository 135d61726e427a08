"""Statistics and problems of a data set."""

import collections
import concurrent.futures

import numpy as np
import tensorflow as tf

from keras_vtr.data.formats.class_folders import ClassificationRecords
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.split_checks import contradictory_classes
from keras_vtr.data.formats.split_checks import count_examples
from keras_vtr.data.formats.split_checks import rare_classes
from keras_vtr.data.pictures.reading import BrokenImages
from keras_vtr.data.pictures.reading import read_file

# The queries that `keras-vtr train` makes, and `keras-vtr inspect` expects.
NUM_QUERIES = 25
# A mask may differ from its box by so many pixels, or by this share of it.
MARGIN = 3.0
MARGIN_SHARE = 0.1
# Upper ends of the histogram of sides, relative to the image's.
SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def inspect_records(data, *, max_objects=100, read_images=True):
    """Computes statistics of a data set and lists its problems.

    Args:
        data: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.
        max_objects: Number of queries of a detector.
        read_images: Whether to decode each picture, which takes as long as
            reading an epoch of training.

    Returns:
        A dict: `"summary"`, a text; `"classes"`, numbers of boxes by name, with
        the class if a name occurs twice; `"sizes"`, numbers of boxes by the
        upper end of their size, the square root of their share of the image;
        `"problems"`, a list of texts; `"notes"`, texts on what is no fault;
        `"broken"`, the paths of pictures that can't be used. Of
        `ClassificationRecords`, `"classes"` has numbers of pictures, and there
        are no `"sizes"`.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train", invalid="drop")
    ... # doctest: +SKIP
    >>> report = keras_vtr.data.inspect_records(data)
    ... # doctest: +SKIP
    """
    if not data.records:
        raise ValueError("`data` must hold at least one image.")
    broken = _broken_images(data.records) if read_images else {}
    report = {"summary": str(data), "classes": count_examples(data)}
    problems = [
        *(f"left out, since it {why}: {x}" for why, x in data.dropped.items()),
        *rare_classes(data),
    ]
    if isinstance(data, ClassificationRecords):
        problems += contradictory_classes(data)
    else:
        report["sizes"] = _sizes(data.records)
        problems = [*_data_problems(data), *problems]
        problems += _record_problems(data.records)
        problems += too_many_boxes(data.records, max_objects)
    problems += (f"{path}: {reason}" for path, reason in broken.items())
    problems += data.remarks
    for record in data.records:
        problems += _mask_problems(record) if "masks" in record else ()
    report |= {"problems": problems, "notes": [*data.notes]}
    return report | {"broken": [*broken]}


def too_many_boxes(records, num_queries):
    """A text for each image with more boxes than queries."""
    numbers = ((x["path"], len(x["labels"])) for x in records)
    return [
        f"{path}: {number} boxes, more than {num_queries} queries"
        for path, number in numbers
        if number > num_queries
    ]


def _data_problems(data):
    if not data.num_boxes:
        yield f"no box to learn: {data}"
    if data.clipped:
        yield f"cut to their images: {data.clipped} boxes"
    for name, number in collections.Counter(data.class_names).items():
        if number > 1:
            yield f"{number} classes are called {name!r}"


def _sizes(records):
    """Histogram of sqrt(area / area of the image) of all boxes."""
    sizes = []
    for record in records:
        height, width = record["shape"]
        sides = record["boxes"][:, 2:] - record["boxes"][:, :2]
        sizes.extend(np.sqrt(sides.prod(axis=1) / (height * width)))
    bins = np.searchsorted(SIZES[:-1], sizes)
    counts = np.bincount(bins, minlength=len(SIZES))
    return dict(zip(SIZES, counts.tolist(), strict=True))


def _record_problems(records):
    paths = collections.Counter(x["path"] for x in records)
    for path, number in paths.items():
        if number > 1:
            yield f"{path}: listed {number} times"
    empty = sum(not len(x["labels"]) for x in records)
    if empty:
        yield f"images without a box: {empty}"
    for record in records:
        rows = np.column_stack([record["labels"], record["boxes"]])
        num_duplicates = len(rows) - len(np.unique(rows, axis=0))
        if num_duplicates:
            yield f"{record['path']}: {num_duplicates} duplicate boxes"


def _mask_problems(record):
    """Objects whose mask is far from its box, or what is wrong with a PNG."""
    try:
        masks = record["masks"].decoded()
    except AnnotationError as error:
        yield str(error)
        return
    for i, (mask, box) in enumerate(zip(masks, record["boxes"], strict=True)):
        rows, columns = (np.flatnonzero(mask.any(axis=x)) for x in (1, 0))
        first, last = (columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)
        extent = [int(side) for side in (*first, *last)]
        most = max(MARGIN, MARGIN_SHARE * (box[2:] - box[:2]).max())
        if abs(box - extent).max() > most:
            yield (
                f"{record['path']}: the mask of object {i} extends over "
                f"{extent}, its box over {box.round(1).tolist()}"
            )


def _broken_images(records):
    """The reason why a picture can't be used, by path."""
    shapes = {x["path"]: x["shape"] for x in records}
    broken = BrokenImages("raise", 0, shapes)

    read = tf.function(
        lambda path: read_file(path)[1],
        input_signature=[tf.TensorSpec((), tf.string)],
    )

    def problem(path):
        shape = tuple(read(path).numpy().tolist())
        return None if shape == shapes[path] else broken.reason(path, shape)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = zip(shapes, pool.map(problem, shapes), strict=True)
        return {path: reason for path, reason in found if reason}
