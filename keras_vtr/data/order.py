"""The order of the images, computed for any position without a state."""

import tensorflow as tf

from keras_vtr.data.sampling import EachOnce


def index_at(position, seed, sampling):
    """The image at a position of the training.

    Each epoch has its own permutation, without a shuffle buffer
    (`tf.random.experimental.index_shuffle`).

    Args:
        position: Scalar int64, the number of images before it.
        seed: Integer.
        sampling: `EachOnce` or `RepeatFactorSampling`.

    Returns:
        The epoch, the record's index, and how often the record came before in
        this epoch, scalars int64.
    """
    num_images = sampling.num_images
    epoch, offset = position // num_images, position % num_images
    key = tf.stack([tf.cast(seed, "int64"), tf.cast(epoch, "int64")])
    shuffle = tf.random.experimental.index_shuffle
    number = shuffle(offset, key, tf.cast(num_images - 1, "int64"))
    fraction = tf.random.stateless_uniform((), key, dtype="float64")
    return epoch, *sampling.record_at(number, fraction)


def training_positions(first_batch, batch_size, num_workers, worker):
    """The positions of one worker's share of all batches, infinite."""
    share = batch_size // num_workers

    def position(i):
        return i // share * batch_size + worker * share + i % share

    start = tf.constant(first_batch * share, "int64")
    return tf.data.Dataset.counter(start, dtype=tf.int64).map(position)


def sizes_of_batches(image_sizes, batch_size, seed):
    """A function from a position to the size of all images of its batch."""
    if image_sizes is None:
        return lambda position: None

    def size_at(position):
        batch = tf.cast(position // batch_size, "int64")
        key = tf.stack([tf.cast(seed, "int64"), batch])
        number = tf.random.stateless_uniform(
            (), key, 0, len(image_sizes), "int32"
        )
        return tf.constant(image_sizes, "int32")[number]

    return size_at


def batch_paths(data, batch_size, step, *, seed=0, sampling=None):
    """The images of one training step, as `detection_dataset` orders them.

    Args:
        data: `keras_vtr.data.DetectionRecords`.
        batch_size: B, of all workers together.
        step: The step, from 0.
        seed: As in `detection_dataset`.
        sampling: As in `detection_dataset`.

    Returns:
        B paths.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    >>> keras_vtr.data.batch_paths(data, 2, step=1000)
    ... # doctest: +SKIP
    ['/data/train/000000391895.jpg', '/data/train/000000522418.jpg']
    """
    first = step * batch_size
    positions = tf.range(first, first + batch_size, dtype=tf.int64)
    sampling = EachOnce(data) if sampling is None else sampling
    indexes = (index_at(p, seed, sampling)[1] for p in positions)
    return [data.records[int(i)]["path"] for i in indexes]
