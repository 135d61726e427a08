"""Padded batches of images and targets for a detector, from records."""

import functools

import tensorflow as tf

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.augmentation import augment
from keras_vtr.data.augmentation import resize
from keras_vtr.data.augmentation import stretch
from keras_vtr.data.dataset_checks import check_canvas
from keras_vtr.data.dataset_checks import check_data
from keras_vtr.data.dataset_checks import check_workers
from keras_vtr.data.order import index_at
from keras_vtr.data.order import sizes_of_batches
from keras_vtr.data.order import training_positions
from keras_vtr.data.padding import padded
from keras_vtr.data.pictures.reading import BrokenImages
from keras_vtr.data.pictures.reading import image_reader
from keras_vtr.data.pictures.reading import with_substitutes
from keras_vtr.data.record_targets import encoded_masks
from keras_vtr.data.record_targets import target_reader


def detection_dataset(
    data,
    batch_size,
    *,
    training,
    seed=0,
    first_batch=0,
    num_workers=1,
    worker=0,
    short_sides=SHORT_SIDES,
    longest_side=LONGEST_SIDE,
    size_multiple=1,
    canvas=None,
    image_sizes=None,
    length_multiple=16,
    broken="raise",
    max_broken=100,
    masks=False,
    **augmentation,
):
    """Padded batches of images of different sizes, with their targets.

    Args:
        data: `keras_vtr.data.DetectionRecords`, such as from `read_coco`.
        batch_size: B, of all workers together.
        training: If True, the data set is infinite, shuffled in each epoch and
            augmented (`keras_vtr.data.augment`); `fit` needs
            `steps_per_epoch=len(data) // batch_size`. If False, each image
            comes once, in order, scaled to the largest short side.
        seed: The order depends only on it and the epoch, the augmentation on
            both and the image.
        first_batch: The first batch of training; earlier ones are not read.
            Resume a run with `first_batch=checkpoint.num_steps`.
        num_workers: Number of processes that share each batch.
        worker: Index of this process; it reads B / `num_workers` images.
        short_sides: Short sides of an image to choose from, in pixels.
        longest_side: Limit of the long side, in pixels.
        size_multiple: Images are padded to multiples of this, for fewer
            shapes, each of which is compiled once.
        canvas: `(height, width)` that all images are padded to. Default: the
            largest of the batch.
        image_sizes: For a model without `padding_mask`, such as RF-DETR: list
            of `(height, width)` that images are stretched to. In training, all
            images of a batch get one of them at random, else the first one.
        length_multiple: Targets are padded to a multiple of this, because the
            matcher is compiled for each number of them, about a second.
        broken: Treatment of a picture that can't be decoded
            (`keras_vtr.data.decode_image`) or has another size than annotated:
            `"raise"`, or `"skip"`, which warns and, in training, takes the next
            picture instead.
        max_broken: How many different pictures may be skipped.
        masks: Whether the targets have masks; read the annotations with
            `masks=True`, too.
        **augmentation: Further arguments of `keras_vtr.data.augment`.

    Returns:
        A `tf.data.Dataset` of `(inputs, y_true)`: inputs with `"images"`
        (B, height, width, 3) float32 in [0, 255] and `"padding_mask"`
        (B, height, width) bool, True = real, or with `image_sizes` the images
        alone; `y_true` with `"boxes"` (B, M, 4), `rel_center_xywh` of each
        image's own size, and `"labels"` (B, M), -1 for padding; with `masks`
        also `"masks"` (B, M, height, width) bool, of the images as they are
        here. If not `training`, `y_true`
        also has, for `keras_vtr.metrics.CocoAveragePrecision`, `"image_shapes"`
        (B, 2), annotated height and width, `"areas"` (B, M) in their pixels,
        `"crowd_boxes"` (B, m, 4) and `"crowd_labels"` (B, m); with `masks`
        `"rles"` (B, M) and `"crowd_rles"` (B, m), COCO's encodings of the
        masks at the annotated size.

    Raises:
        ValueError: If the data set is empty, an argument doesn't fit, or there
            is no box to learn in training. Also at a broken picture, with its
            path, from `fit`, `evaluate` and `predict` of a
            `keras_vtr.models.DetectionModel` and from
            `keras_vtr.metrics.CocoAveragePrecision`. Other readers get a
            `tf.errors.InvalidArgumentError` with this text.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    >>> batches = keras_vtr.data.detection_dataset(data, 2, training=True)
    ... # doctest: +SKIP
    """
    check_data(data, training, masks)
    check_workers(batch_size, num_workers, worker)
    check_canvas(canvas, image_sizes, longest_side, size_multiple)
    if image_sizes is not None and (len(image_sizes) == 1 or not training):
        canvas = image_sizes[0]
    shapes = {x["path"]: x["shape"] for x in data.records}
    broken = BrokenImages(broken, max_broken, shapes)
    if training:
        order = training_positions(first_batch, batch_size, num_workers, worker)
        size_at = sizes_of_batches(image_sizes, batch_size, seed)
        sides = {"short_sides": short_sides, "longest_side": longest_side}
        prepare = _training_rows(
            data.records, broken, seed, masks, size_at, **sides, **augmentation
        )
    else:
        order = tf.data.Dataset.range(len(data)).shard(num_workers, worker)
        resized = _resizing(image_sizes, max(short_sides), longest_side)
        prepare = _evaluation_rows(data.records, broken, masks, resized)
    rows = order.map(prepare, tf.data.AUTOTUNE)
    if not training:
        rows = rows.filter(lambda inputs, y_true, ok: ok)
        rows = rows.map(lambda inputs, y_true, ok: (inputs, y_true))
    size = batch_size // num_workers
    sides = size_multiple, length_multiple
    batches = padded(rows, size, canvas, *sides, training)
    return batches if image_sizes is None else batches.map(_without_mask)


def _training_rows(records, broken, seed, masks, size_at, **options):
    """A function from a training position to an image and its targets."""
    read = image_reader(records, broken)
    targets_of = target_reader(records, ("boxes", "labels"), masks)

    def prepare(position):
        epoch, index = index_at(position, seed, len(records))
        if broken.policy == "skip":
            image, index = with_substitutes(read, len(records))(index)
        else:
            image, _ = read(index)
        key = tf.stack([seed, tf.cast(epoch, "int32")])
        key = tf.random.experimental.stateless_fold_in(key, index)
        image, y_true = augment(
            image,
            targets_of(index),
            key,
            image_size=size_at(position),
            **options,
        )
        y_true["boxes"] = _relative(y_true["boxes"], tf.shape(image)[:2])
        y_true["labels"] = tf.ensure_shape(y_true["labels"], (None,))
        return _inputs(image), y_true

    return prepare


def _without_mask(inputs, y_true):
    return inputs["images"], y_true


def _resizing(image_sizes, short_side, longest_side):
    """From image and targets to those of the size for evaluation."""
    if image_sizes is not None:
        return functools.partial(stretch, shape=image_sizes[0])
    sides = {"short_side": short_side, "longest_side": longest_side}
    return functools.partial(resize, **sides)


def _evaluation_rows(records, broken, masks, resized):
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
