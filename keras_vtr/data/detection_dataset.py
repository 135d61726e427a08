"""From checked records to the padded batches that a detector is trained on."""

import numpy as np
import tensorflow as tf

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.augmentation import augment
from keras_vtr.data.augmentation import resize
from keras_vtr.data.image_decoding import decode_image


def detection_dataset(
    dataset,
    batch_size,
    *,
    training,
    seed=0,
    short_sides=SHORT_SIDES,
    longest_side=LONGEST_SIDE,
    length_multiple=16,
    **augmentation,
):
    """Makes batches of images of several sizes, padded, with their targets.

    Args:
        dataset: From `keras_vtr.data.read_coco`.
        batch_size: B.
        training: If True, images come without end, shuffled anew in each pass
            and augmented (`keras_vtr.data.augment`); `fit` needs
            `steps_per_epoch=len(dataset) // batch_size`. If False, they come
            once and in order, scaled to the largest short side.
        seed: The order, and how the n-th image is augmented, follow from it
            alone.
        short_sides: Short sides of an image to choose from, in pixels.
        longest_side: The most that the other side may have.
        length_multiple: Targets are padded to a multiple of this, because each
            new number of them costs a second once, to compile the matcher.
        **augmentation: Further arguments of `keras_vtr.data.augment`.

    Returns:
        A `tf.data.Dataset` of `(inputs, y_true)`: inputs with `"images"`
        (B, height, width, 3) float32 in [0, 255] and `"padding_mask"`
        (B, height, width) bool, True = real; `y_true` with `"boxes"`
        (B, M, 4), `rel_center_xywh` of each image's own size, and `"labels"`
        (B, M), -1 for padding.

    Raises:
        ValueError: If the data set is empty.
        tf.errors.InvalidArgumentError: While it is read, if a picture can't be
            decoded (`keras_vtr.data.decode_image`) or has another size than
            its annotations say.

    Example:

    >>> dataset = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    >>> batches = keras_vtr.data.detection_dataset(dataset, 2, training=True)
    ... # doctest: +SKIP
    """
    if not dataset.records:
        raise ValueError("`dataset` must hold at least one image.")
    read = _reader(dataset.records)

    def prepare(position, index):
        example = read(index)
        if training:
            key = tf.stack([seed, tf.cast(position, "int32")])
            sides = {"short_sides": short_sides, "longest_side": longest_side}
            return _finish(*augment(*example, key, **sides, **augmentation))
        image, boxes, labels = example
        image, boxes = resize(image, boxes, max(short_sides), longest_side)
        return _finish(image, boxes, labels)

    order = tf.data.Dataset.range(len(dataset))
    if training:
        order = order.shuffle(len(dataset), seed=seed).repeat()
    numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(), order)
    batches = numbered.map(
        prepare, num_parallel_calls=tf.data.AUTOTUNE
    ).padded_batch(
        batch_size,
        padding_values=(
            {"images": 0.0, "padding_mask": False},
            {"boxes": 0.0, "labels": -1},
        ),
    )
    return batches.map(_pad_lengths(length_multiple)).prefetch(2)


def _reader(records):
    """From a record's number to its image, boxes and labels."""
    paths = tf.constant([x["path"] for x in records])
    shapes = tf.constant([x["shape"] for x in records])
    boxes = _ragged([x["boxes"] for x in records])
    labels = _ragged([x["labels"] for x in records])

    def read(index):
        image = decode_image(tf.io.read_file(paths[index]))
        shape = tf.shape(image)[:2]
        check = tf.debugging.Assert(
            tf.reduce_all(shape == shapes[index]),
            [
                "The annotations are of another height and width than the "
                "picture, upright as its Exif orientation says:",
                *(paths[index], shapes[index], shape),
            ],
        )
        with tf.control_dependencies([check]):
            return tf.identity(image), boxes[index], labels[index]

    return read


def _ragged(arrays):
    """One tensor of rows for all records, indexable by record."""
    lengths = [len(x) for x in arrays]
    return tf.RaggedTensor.from_row_lengths(np.concatenate(arrays), lengths)


def _finish(image, boxes, labels):
    """`xyxy` pixels to `rel_center_xywh`; what is real; known ranks."""
    image = tf.ensure_shape(image, (None, None, 3))
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], "float32"))
    boxes = boxes / tf.stack([width, height, width, height])
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    lower, upper = boxes[:, :2], boxes[:, 2:]
    boxes = tf.concat([(lower + upper) / 2, upper - lower], axis=1)
    mask = tf.ones(tf.shape(image)[:2], "bool")
    y_true = {
        "boxes": tf.ensure_shape(boxes, (None, 4)),
        "labels": tf.ensure_shape(labels, (None,)),
    }
    return {"images": image, "padding_mask": mask}, y_true


def _pad_lengths(multiple):
    def pad(inputs, y_true):
        more = -tf.shape(y_true["labels"])[1] % multiple
        boxes = tf.pad(y_true["boxes"], [[0, 0], [0, more], [0, 0]])
        labels = tf.pad(
            y_true["labels"], [[0, 0], [0, more]], constant_values=-1
        )
        return inputs, {"boxes": boxes, "labels": labels}

    return pad
