"""A user's own augmentation of an image with its boxes and masks."""

import functools
import threading

import numpy as np
import tensorflow as tf

from keras_vtr.data.host_calls import call_on_host

TOLERANCE = 1.0  # pixels that a box may extend beyond its image
RANKS = {"boxes": (None, 4), "labels": (None,), "masks": (None, None, None)}


def augment_on_host(function):
    """An augmentation by NumPy, OpenCV or albumentations.

    The `augment` of `keras_vtr.data.detection_dataset` is a part of the data
    set's graph, in which other Python can't run. This makes one of a function
    of arrays. It is called by one thread at a time, because transforms often
    keep a state.

    Args:
        function: A function of image, targets and seed that returns image and
            targets: the image (height, width, 3) uint8, or float32 in [0, 255]
            when returned; the targets a dict with `"boxes"` (n, 4) float32,
            absolute `xyxy` pixels, `"labels"` (n,), and with
            `detection_dataset(masks=True)` `"masks"` (n, height, width) bool;
            the seed a whole number, 0 or above, that depends only on the data
            set's seed, the epoch and the image. A run resumes exactly if all
            random numbers depend on it alone.

    Returns:
        A function for `augment`.

    Raises:
        ValueError: From the function it returns: see `detection_dataset`.

    Example:

    >>> def darker(image, targets, seed):
    ...     factor = np.random.default_rng(seed).uniform(0.5, 1)
    ...     return np.float32(image * factor), targets
    >>> darker = keras_vtr.data.augment_on_host(darker)
    >>> image = np.full((2, 3, 3), 100, "uint8")
    >>> targets = {
    ...     "boxes": np.array([[0, 0, 2, 1]], "float32"),
    ...     "labels": np.array([7]),
    ... }
    >>> image, targets = darker(image, targets, seed=[0, 1])
    >>> print(image.shape, 50 <= image[0, 0, 0] <= 100, targets["boxes"].shape)
    (2, 3, 3) tf.Tensor(True, shape=(), dtype=bool) (1, 4)
    """
    lock = threading.Lock()

    def call(names, image, seed, *values):
        low, high = (int(x) % 2**32 for x in seed)
        targets = dict(zip(names, values, strict=True))
        with lock:
            image, found = function(image, targets, low + 2**32 * high)
        _check_keys(found, names)
        arrays = [_as_array(x, found[x], targets[x]) for x in names]
        return [np.asarray(image, "float32"), *arrays]

    def augment(image, targets, seed):
        names = sorted(targets)
        targets = {key: tf.convert_to_tensor(x) for key, x in targets.items()}
        values = [targets[name] for name in names]
        image, *found = call_on_host(
            functools.partial(call, names),
            [image, tf.cast(seed, "int32"), *values],
            [tf.float32, *(x.dtype for x in values)],
        )
        return image, dict(zip(names, found, strict=True))

    return augment


def checked_augmentation(augment, image, targets, seed, path):
    """Applies a user's augmentation and checks its result.

    Args:
        augment: The user's function.
        image: (height, width, 3) uint8.
        targets: Dict of objects, as in `keras_vtr.data.augment`.
        seed: (2,) integers.
        path: The image's, for errors.

    Returns:
        The image in float32, and its targets.
    """
    image, found = augment(image, dict(targets), seed)
    _check_keys(found, targets)
    image = tf.cast(image, "float32")
    names = sorted(targets)
    values = [_of_kind(x, found[x], targets[x].dtype) for x in names]
    is_finite = tf.reduce_all(tf.math.is_finite(image))
    edges = tf.stack([tf.reduce_min(image), tf.reduce_max(image)])
    values = call_on_host(
        functools.partial(_check, names),
        [path, tf.shape(image), is_finite, edges, *values],
        [x.dtype for x in values],
    )
    image = tf.ensure_shape(image, (None, None, 3))
    return image, {
        name: tf.ensure_shape(value, RANKS[name])
        for name, value in zip(names, values, strict=True)
    }


def _check_keys(found, names):
    if not isinstance(found, dict) or set(found) != set(names):
        found = sorted(found) if isinstance(found, dict) else type(found)
        raise ValueError(
            f"`augment` must return the image and a dict with {sorted(names)}. "
            f"Received: {found}"
        )


def _of_kind(name, value, wanted):
    """The tensor, if it is of floats, integers or bools as it was before."""
    value = tf.convert_to_tensor(value)
    kinds = [(x.is_floating, x.is_integer) for x in (value.dtype, wanted)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`augment` must return {name!r} in {wanted.name}. Received: "
            f"{value.dtype.name}"
        )
    return tf.cast(value, wanted)


def _as_array(name, value, before):
    """An array of the same dtype as before, if that changes no value."""
    array = np.asarray(value)
    if not array.size:  # a list of no boxes
        array = array.reshape(0, *before.shape[1:])
    converted = array.astype(before.dtype)
    if before.dtype.kind != "f" and not np.array_equal(converted, array):
        raise ValueError(
            f"`augment` must return {name!r} in {before.dtype}. Received: "
            f"{array.dtype}, {array.ravel()[:5]}"
        )
    return converted


def _check(names, path, shape, is_finite, edges, *values):
    """Returns the values, or raises; the graph calls it."""
    shape = tuple(shape.tolist())
    problem = _problem(
        shape, is_finite, edges, **dict(zip(names, values, strict=True))
    )
    if problem:
        name = np.asarray(path).item().decode()  # bytes; eagerly, an array
        raise ValueError(f"{name}: `augment` must {problem}")
    return list(values)


def _problem(shape, is_finite, edges, boxes, labels, masks=None):
    """What is wrong with a result, or None."""
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        return f"return an image (height, width, 3). Received: {shape}"
    if not is_finite or edges[0] < -1 or edges[1] > 256:
        return (
            "return an image of finite values in [0, 255]. Received: "
            f"{edges[0]} to {edges[1]}"
        )
    number = len(labels) if labels.ndim == 1 else None
    wanted = {"boxes": (number, 4), "masks": (number, *shape[:2])}
    for name, value in (("boxes", boxes), ("masks", masks)):
        if value is not None and (value.shape != wanted[name]):
            return (
                f"return {name!r} {wanted[name]} for labels {labels.shape} and "
                f"an image {shape}. Received: {value.shape}"
            )
    limits = np.tile(shape[1::-1], 2)
    is_inside = (boxes >= -TOLERANCE) & (boxes <= limits + TOLERANCE)
    fits = is_inside.all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    if not fits.all():
        return (
            "return boxes within the image, absolute xyxy pixels, with an "
            "area: clip them, and leave out objects of which nothing is left. "
            f"Received: {boxes[~fits][0].tolist()} in an image of height "
            f"{shape[0]} and width {shape[1]}"
        )
    return None
