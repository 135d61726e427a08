"""From a record to an image and its targets, in the graph of a data set."""

import functools

import tensorflow as tf

from keras_vtr.data.augmentation import augment
from keras_vtr.data.augmentation import resize
from keras_vtr.data.augmentation import stretch
from keras_vtr.data.order import index_at
from keras_vtr.data.own_augmentation import checked_augmentation
from keras_vtr.data.pictures.reading import image_reader
from keras_vtr.data.pictures.reading import training_reader
from keras_vtr.data.record_targets import encoded_masks
from keras_vtr.data.record_targets import target_reader
from keras_vtr.data.sampling import EachOnce


def training_rows(
    records, broken, seed, sampling, masks, *, size_at, own, **options
):
    """A function from a training position to an image and its targets."""
    sampling = EachOnce(records) if sampling is None else sampling
    read = training_reader(records, broken)
    targets_of = target_reader(records, ("boxes", "labels"), masks)
    paths = tf.constant([x["path"] for x in records])
    fold_in = tf.random.experimental.stateless_fold_in

    def prepare(position):
        epoch, index, times = index_at(position, seed, sampling)
        image, index = read(index)
        targets = targets_of(index)
        key = tf.stack([seed, tf.cast(epoch, "int32")])
        # An image that comes again looks different.
        key = fold_in(key, index + times * len(records))
        if own is not None:
            image, targets = checked_augmentation(
                own, image, targets, fold_in(key, 1), paths[index]
            )
        image, y_true = augment(
            image, targets, key, image_size=size_at(position), **options
        )
        y_true["boxes"] = _relative(y_true["boxes"], tf.shape(image)[:2])
        y_true["labels"] = tf.ensure_shape(y_true["labels"], (None,))
        return _inputs(image), y_true

    return prepare


def resizing(image_sizes, short_side, longest_side):
    """From image and targets to those of the size for evaluation."""
    if image_sizes is not None:
        return functools.partial(stretch, shape=image_sizes[0])
    sides = {"short_side": short_side, "longest_side": longest_side}
    return functools.partial(resize, **sides)


def evaluation_rows(records, broken, masks, resized):
    """A function from an index to inputs, targets and whether to use them."""
    read = image_reader(records, broken)
    names = ("boxes", "labels", "areas", "crowd_boxes", "crowd_labels")
    targets_of = target_reader(records, names, masks)
    shapes = tf.constant([x["shape"] for x in records], "float32")

    def prepare(index):
        image, ok = read(index)
        y_true = targets_of(index)
        for name in ("boxes", "crowd_boxes"):
            y_true[name] = _relative(y_true[name], shapes[index])
        pixels = {key: y_true[key] for key in ("masks",) if key in y_true}
        image, pixels = resized(image, pixels)
        y_true |= pixels
        if masks:
            for key in ("masks", "crowd_masks"):
                rles = key.replace("masks", "rles")
                y_true[rles] = encoded_masks(records, key, index)
        return _inputs(image), {**y_true, "image_shapes": shapes[index]}, ok

    return prepare


def _relative(boxes, shape):
    """`xyxy` pixels of an image of this shape to `rel_center_xywh`."""
    height, width = tf.unstack(tf.cast(shape, "float32"))
    boxes = boxes / tf.stack([width, height, width, height])
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    lower, upper = boxes[:, :2], boxes[:, 2:]
    boxes = tf.concat([(lower + upper) / 2, upper - lower], axis=1)
    return tf.ensure_shape(boxes, (None, 4))


def _inputs(image):
    """The model's inputs before padding: every pixel is real."""
    padding_mask = tf.ones(tf.shape(image)[:2], "bool")
    image = tf.ensure_shape(image, (None, None, 3))
    return {"images": image, "padding_mask": padding_mask}
