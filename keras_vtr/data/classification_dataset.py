"""Batches of images and classes for a classifier, from records."""

import keras
import tensorflow as tf

from keras_vtr.data.dataset_checks import check_training_arguments
from keras_vtr.data.dataset_checks import check_workers
from keras_vtr.data.order import index_at
from keras_vtr.data.order import training_positions
from keras_vtr.data.pictures.reading import BrokenImages
from keras_vtr.data.pictures.reading import image_reader
from keras_vtr.data.pictures.reading import training_reader
from keras_vtr.data.pictures.resizing import check_side
from keras_vtr.data.pictures.resizing import resized
from keras_vtr.data.sampling import EachOnce

# Szegedy et al. 2015 ("Going Deeper with Convolutions"), section 6: a crop has
# these shares of the image's area, and this ratio of width to height.
CROP_AREAS = (0.08, 1.0)
ASPECT_RATIOS = (3 / 4, 4 / 3)


def classification_dataset(
    data,
    batch_size,
    *,
    training,
    image_size,
    seed=0,
    first_batch=0,
    sampling=None,
    num_workers=1,
    worker=0,
    crop_areas=CROP_AREAS,
    flips=True,
    broken="raise",
    max_broken=100,
):
    """Batches of images of one size, with their classes.

    In training, each image is a random crop (Szegedy et al. 2015, section 6),
    flipped horizontally in half of the cases. Else it is the largest piece of
    the form of `image_size` from the middle, as a
    `keras.layers.Resizing(..., antialias=True, crop_to_aspect_ratio=True)`
    makes it, which `keras_vtr.serving.export_classifier` takes as `resizing`.

    Args:
        data: `keras_vtr.data.ClassificationRecords`, such as from
            `read_class_folders`.
        batch_size: B, of all workers together.
        training: If True, the data set is infinite, shuffled in each epoch and
            augmented; `fit` needs `steps_per_epoch=len(data) // batch_size`. If
            False, each image comes once, in order.
        image_size: `(height, width)` in pixels.
        seed: As for `keras_vtr.data.detection_dataset`.
        first_batch: Likewise.
        sampling: Likewise.
        num_workers: Likewise.
        worker: Likewise.
        crop_areas: Smallest and largest share of the image's area that a crop
            has, in (0, 1].
        flips: Whether half of the images are flipped.
        broken: As for `keras_vtr.data.detection_dataset`.
        max_broken: Likewise.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: (B, height, width, 3) float32
        in [0, 255], and (B,) int32 classes, 0..K-1.

    Raises:
        ValueError: If the data set is empty, or an argument doesn't fit. Also
            at a broken picture, as of `detection_dataset`.

    Example:

    >>> data = keras_vtr.data.read_class_folders("train")
    ... # doctest: +SKIP
    >>> batches = keras_vtr.data.classification_dataset(
    ...     data, 8, training=True, image_size=(224, 224)
    ... )  # doctest: +SKIP
    """
    if not len(data):
        raise ValueError("`data` must hold at least one image.")
    check_training_arguments(data, training, sampling, None)
    check_workers(batch_size, num_workers, worker)
    for side in image_size:
        check_side("image_size", side)
    low, high = crop_areas
    if not 0 < low <= high <= 1:
        raise ValueError(
            "`crop_areas` must be two shares, rising, in (0, 1]. Received: "
            f"crop_areas={crop_areas}"
        )
    shapes = {x["path"]: x["shape"] for x in data.records}
    broken = BrokenImages(broken, max_broken, shapes)
    size = batch_size // num_workers
    if not training:
        indexes = tf.data.Dataset.range(len(data)).shard(num_workers, worker)
        rows = _evaluation_rows(indexes, data, broken, image_size)
        return rows.batch(size).prefetch(2)
    order = training_positions(first_batch, batch_size, num_workers, worker)
    sampling = EachOnce(data) if sampling is None else sampling
    options = (image_size, crop_areas, flips)
    prepare = _training_row(data, broken, seed, sampling, options)
    rows = order.map(prepare, tf.data.AUTOTUNE)
    return rows.batch(size, drop_remainder=True).prefetch(2)


def _evaluation_rows(indexes, data, broken, image_size):
    """Images and labels of records, without broken ones."""
    labels, piece = tf.constant(data.labels), resized(center_crop(image_size))
    read = image_reader(data.records, broken)

    def prepare(index):
        image, ok = read(index)
        return _shaped(piece(image), image_size), labels[index], ok

    rows = indexes.map(prepare, tf.data.AUTOTUNE)
    if broken.policy == "skip":  # else the data set's length stays known
        rows = rows.filter(lambda image, label, ok: ok)
    return rows.map(lambda image, label, ok: (image, label))


def _training_row(data, broken, seed, sampling, options):
    """A function from a training position to a piece and its label."""
    labels, read = (
        tf.constant(data.labels),
        training_reader(data.records, broken),
    )
    fold_in = tf.random.experimental.stateless_fold_in

    def prepare(position):
        epoch, index, times = index_at(position, seed, sampling)
        image, index = read(index)
        key = tf.stack([seed, tf.cast(epoch, "int32")])
        # An image that comes again is another piece.
        key = fold_in(key, index + times * len(data))
        image = _random_piece(image, key, *options)
        return _shaped(image, options[0]), labels[index]

    return prepare


def center_crop(image_size):
    """The layer that resizes as `classification_dataset` does in evaluation.

    Args:
        image_size: `(height, width)` in pixels.

    Returns:
        A `keras.layers.Resizing`, for the largest piece of this form from the
        middle of an image; `export_classifier` takes it as `resizing`.

    Example:

    >>> layer = keras_vtr.data.center_crop((24, 24))
    >>> print(layer(np.zeros((30, 60, 3))).shape)
    (24, 24, 3)
    """
    return keras.layers.Resizing(
        *image_size,
        antialias=True,
        crop_to_aspect_ratio=True,
        data_format="channels_last",
    )


def _random_piece(image, seed, image_size, crop_areas, flips):
    """A random crop, resized, and perhaps flipped."""
    crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        whole,
        crop_seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RATIOS,
        area_range=crop_areas,
    )
    # Without a crop of such a form, TensorFlow gives the whole image.
    image = tf.image.resize(
        tf.slice(image, begin, size), image_size, antialias=True
    )
    if flips:
        image = tf.image.stateless_random_flip_left_right(image, flip_seed)
    return image


def _shaped(image, image_size):
    return tf.ensure_shape(tf.cast(image, "float32"), (*image_size, 3))
