"""Padded batches of images and targets for a detector, from records."""

import tensorflow as tf

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.dataset_checks import check_canvas
from keras_vtr.data.dataset_checks import check_data
from keras_vtr.data.dataset_checks import check_training_arguments
from keras_vtr.data.dataset_checks import check_workers
from keras_vtr.data.order import sizes_of_batches
from keras_vtr.data.order import training_positions
from keras_vtr.data.padding import padded
from keras_vtr.data.pictures.reading import BrokenImages
from keras_vtr.data.rows import evaluation_rows
from keras_vtr.data.rows import resizing
from keras_vtr.data.rows import training_rows


def detection_dataset(
    data,
    batch_size,
    *,
    training,
    seed=0,
    first_batch=0,
    sampling=None,
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
    augment=None,
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
        sampling: Optional `keras_vtr.data.RepeatFactorSampling` of `data`, for
            training. Default: each image comes once an epoch.
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
        augment: Optional augmentation of one's own, for training: a function of
            image, targets and seed that returns image and targets, as
            `keras_vtr.data.augment`, and comes before it. The image is
            (height, width, 3) uint8, and is returned in uint8 or float32, in
            [0, 255], of any size. It is a part of the data set's graph; see
            `keras_vtr.data.augment_on_host` for other Python.
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
            is no box to learn in training. Also at a broken picture, or one
            whose objects don't fit after `augment`, with its
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
    check_training_arguments(data, training, sampling, augment)
    check_workers(batch_size, num_workers, worker)
    check_canvas(canvas, image_sizes, longest_side, size_multiple)
    if image_sizes is not None and (len(image_sizes) == 1 or not training):
        canvas = image_sizes[0]
    shapes = {x["path"]: x["shape"] for x in data.records}
    broken = BrokenImages(broken, max_broken, shapes)
    if training:
        order = training_positions(first_batch, batch_size, num_workers, worker)
        size_at = sizes_of_batches(image_sizes, batch_size, seed)
        augmentation |= {"short_sides": short_sides, "own": augment}
        augmentation |= {"longest_side": longest_side, "size_at": size_at}
        prepare = training_rows(
            data.records, broken, seed, sampling, masks, **augmentation
        )
    else:
        order = tf.data.Dataset.range(len(data)).shard(num_workers, worker)
        resized = resizing(image_sizes, max(short_sides), longest_side)
        prepare = evaluation_rows(data.records, broken, masks, resized)
    rows = order.map(prepare, tf.data.AUTOTUNE)
    if not training:
        rows = rows.filter(lambda inputs, y_true, ok: ok).map(_without_ok)
    multiples = size_multiple, length_multiple
    size = batch_size // num_workers
    batches = padded(rows, size, canvas, *multiples, training)
    return batches if image_sizes is None else batches.map(_without_mask)


def _without_ok(inputs, y_true, ok):
    return inputs, y_true


def _without_mask(inputs, y_true):
    return inputs["images"], y_true
