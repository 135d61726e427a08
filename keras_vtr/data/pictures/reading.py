"""Images of records from the disk, and what to do with broken ones."""

import warnings

import tensorflow as tf

from keras_vtr.data.host_calls import call_on_host
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.pictures.decoding import read_or_blank
from keras_vtr.data.pictures.files import why_unreadable


class BrokenImages:
    """Names, counts and limits the images that can't be read.

    Args:
        policy: `"raise"`, or `"skip"`.
        most: How many different ones may be skipped.
        shapes: Path to (height, width) as annotated.
    """

    def __init__(self, policy, most, shapes):
        if policy not in ("raise", "skip"):
            raise ValueError(
                f"`broken` must be 'raise' or 'skip'. Received: {policy!r}"
            )
        self.policy = policy
        # At least one is needed to take the others' places.
        self.most = min(most, len(shapes) - 1)
        self.shapes = shapes
        self.paths = set()

    def report(self, path, shape):
        """Raises, or warns and returns False; called from the graph."""
        path = path.decode()
        reason = self.reason(path, tuple(shape.tolist()))
        if self.policy == "raise":
            raise ValueError(
                f"{path} can't be trained on: {reason}. Mend it or leave it "
                "out of the annotations, or give broken='skip'."
            )
        is_new = path not in self.paths
        self.paths.add(path)
        if len(self.paths) > self.most:
            # At each one from now on: what is read beside this one may know
            # only paths that are reported already, and would look for a
            # whole one forever.
            raise ValueError(
                f"{len(self.paths)} images can't be trained on, the last "
                f"one is {path}: {reason}. At most {self.most} may be "
                "skipped: look at the data, or raise `max_broken`."
            )
        if is_new:
            warnings.warn(
                f"{path} is skipped, the {len(self.paths)}. broken image: "
                f"{reason}",
                RuntimeWarning,
                stacklevel=2,
            )
        return False

    def reason(self, path, shape):
        """What is wrong with an image of this (height, width); 0: no image."""
        if not all(shape):
            return why_unreadable(path)
        (height, width), annotated = shape, self.shapes[path]
        return (
            f"its size is {width} x {height}, upright as its Exif orientation "
            f"says, and annotated is {annotated[1]} x {annotated[0]}"
        )


def read_file(path):
    """An image, and its (height, width): 0 where it can't be read."""
    image, ok = read_or_blank(lambda x: decode_image(tf.io.read_file(x)), path)
    return image, tf.where(ok, tf.shape(image, tf.int64)[:2], 0)


def image_reader(records, broken):
    """Reads a record's image.

    Args:
        records: Those of `DetectionRecords`.
        broken: `BrokenImages`.

    Returns:
        A function from a record's number to (height, width, 3) uint8 and
        whether it could be read.
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


def with_substitutes(read, num_images):
    """Takes the next image instead of a broken one, so that none is missing.

    Returns:
        A function from a record's number to an image and the number of the
        record that it is of.
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
