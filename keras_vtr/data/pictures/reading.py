"""Reads the images of records, and raises on broken ones or skips them."""

import warnings

import tensorflow as tf

from keras_vtr.data.host_calls import call_on_host
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.pictures.decoding import read_or_blank
from keras_vtr.data.pictures.files import why_unreadable


class BrokenImages:
    """Reports the images that can't be used, and limits their number.

    Args:
        policy: `"raise"`, or `"skip"`.
        most: How many different images may be skipped.
        shapes: Dict from path to annotated (height, width).
    """

    def __init__(self, policy, most, shapes):
        if policy not in ("raise", "skip"):
            raise ValueError(
                f"`broken` must be 'raise' or 'skip'. Received: {policy!r}"
            )
        self.policy = policy
        # At least one image is needed to replace the others.
        self.most = min(most, len(shapes) - 1)
        self.shapes = shapes
        self.paths = set()

    def report(self, path, shape):
        """Raises or warns; the graph calls it. Returns False."""
        path = path.decode()
        reason = self.reason(path, tuple(shape.tolist()))
        if self.policy == "raise":
            raise ValueError(
                f"{path} can't be trained on: {reason}. Repair it, remove it "
                "from the annotations, or give broken='skip'."
            )
        is_new = path not in self.paths
        self.paths.add(path)
        if len(self.paths) > self.most:
            # Raised for known paths, too: a parallel search for a substitute
            # may meet only those, and would never end.
            raise ValueError(
                f"{len(self.paths)} images can't be trained on, the last "
                f"one is {path}: {reason}. At most {self.most} may be "
                "skipped. Check the data, or increase `max_broken`."
            )
        if is_new:
            warnings.warn(
                f"{path} is skipped, broken image {len(self.paths)}: {reason}",
                RuntimeWarning,
                stacklevel=2,
            )
        return False

    def reason(self, path, shape):
        """Why an image of this (height, width) can't be used; 0: unreadable."""
        if not all(shape):
            return why_unreadable(path)
        (height, width), annotated = shape, self.shapes[path]
        return (
            f"its size is {width} x {height}, upright by its Exif orientation, "
            f"but the annotated size is {annotated[1]} x {annotated[0]}"
        )


def read_file(path):
    """An image, and its (height, width), 0 if it can't be read."""
    image, ok = read_or_blank(lambda x: decode_image(tf.io.read_file(x)), path)
    return image, tf.where(ok, tf.shape(image, tf.int64)[:2], 0)


def image_reader(records, broken):
    """A reader of the images of records.

    Args:
        records: The `records` of `DetectionRecords`.
        broken: `BrokenImages`.

    Returns:
        A function from a record's index to (height, width, 3) uint8 and
        whether the image can be used.
    """
    paths = tf.constant([x["path"] for x in records])
    shapes = tf.constant([x["shape"] for x in records], "int64")

    def report(index, shape):
        ok = call_on_host(broken.report, [paths[index], shape], tf.bool)
        return tf.ensure_shape(ok, ())

    def read(index):
        image, shape = read_file(paths[index])
        ok = tf.reduce_all(shape == shapes[index])
        return image, tf.cond(ok, lambda: ok, lambda: report(index, shape))

    return read


def training_reader(records, broken):
    """A reader of images that are trained on: none of them is broken.

    Args:
        records: As of `image_reader`.
        broken: Likewise; by its policy, a broken image is an error or the next
            one comes instead.

    Returns:
        A function from a record's index to an image and the index of the
        record that it belongs to.
    """
    read = image_reader(records, broken)
    if broken.policy == "skip":
        return with_substitutes(read, len(records))
    return lambda index: (read(index)[0], index)


def with_substitutes(read, num_images):
    """Replaces a broken image by the next one, so that batches stay full.

    Returns:
        A function from a record's index to an image and the index of the
        record that it belongs to.
    """

    def read_next(index, *_):
        index = (index + 1) % num_images
        return index, *read(index)

    def read_any(index):
        before = (index - 1) % num_images  # so that it is traced once
        blank = tf.zeros((1, 1, 3), "uint8")
        index, image, _ = tf.while_loop(
            lambda index, image, ok: ~ok,
            read_next,
            (before, blank, tf.constant(False)),
            shape_invariants=(
                tf.TensorShape(()),
                tf.TensorShape((None, None, 3)),
                tf.TensorShape(()),
            ),
        )
        return image, index

    return read_any
