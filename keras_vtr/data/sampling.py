"""How often each image of a data set comes in an epoch of training."""

import numpy as np
import tensorflow as tf

from keras_vtr.data.formats.split_checks import labels_of


class EachOnce:
    """Each image comes once.

    Args:
        data: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`, or
            their `records`.
    """

    def __init__(self, data):
        self.num_records = self.num_images = len(data)

    def record_at(self, number, fraction):
        """A record of an epoch.

        Args:
            number: Scalar int64, the place in the epoch before it is shuffled,
                0 to `num_images` - 1.
            fraction: Scalar float64, a random number of the epoch, in [0, 1).

        Returns:
            Scalars int64: the record's index, and how often it came before in
            this epoch.
        """
        return number, tf.zeros_like(number)


class RepeatFactorSampling:
    """Images with rare classes come several times in an epoch.

    Gupta, Dollár and Girshick 2019 ("LVIS: A Dataset for Large Vocabulary
    Instance Segmentation"), section on repeat factor sampling: with the share
    f of images that have a class, its factor is `max(1, sqrt(threshold / f))`,
    and that of an image is the largest one of its classes; of an image without
    objects it is 1.

    A factor of 2.4 means two or three times an epoch, 2.4 on average: one
    random number for each epoch rounds all factors (systematic sampling), so
    that an epoch always has `num_images` images. The paper rounds each factor
    by a random number of its own. As the number of images is whole, the factors
    differ from the paper's by less than one part in twice the number of images.

    Args:
        data: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.
        threshold: Share of the images, in (0, 1], below which a class is rare.
            The paper takes 0.001 for 1,230 classes; with few classes a share of
            about 0.1 is needed for any effect.

    Attributes:
        factors: (num_records,) float64, of the images.
        num_images: Images of an epoch; `fit` needs
            `steps_per_epoch=sampling.num_images // batch_size`.

    Raises:
        ValueError: If `threshold` is out of its range or `data` is empty.

    Example:

    >>> data = keras_vtr.data.read_coco("train.json", "train")
    ... # doctest: +SKIP
    >>> sampling = keras_vtr.data.RepeatFactorSampling(data, threshold=0.1)
    ... # doctest: +SKIP
    >>> batches = keras_vtr.data.detection_dataset(
    ...     data, 2, training=True, sampling=sampling
    ... )  # doctest: +SKIP
    """

    def __init__(self, data, threshold):
        if not 0 < threshold <= 1:
            raise ValueError(
                "`threshold` must be a share of the images in (0, 1]. "
                f"Received: threshold={threshold}"
            )
        if not data.records:
            raise ValueError("`data` must hold at least one image.")
        self.num_records = len(data)
        classes = [np.unique(labels_of(x)) for x in data.records]
        share = np.bincount(np.concatenate(classes)) / self.num_records
        of_class = np.maximum(1, np.sqrt(threshold / np.maximum(share, 1e-9)))
        factors = [of_class[x].max(initial=1) for x in classes]
        self.num_images = round(sum(factors))
        self._ends = np.cumsum(factors) * (self.num_images / sum(factors))
        self._ends[-1] = self.num_images  # whatever was rounded
        self.factors = np.diff(self._ends, prepend=0)

    def record_at(self, number, fraction):
        ends = tf.constant(self._ends)
        place = tf.cast(number, "float64") + fraction
        record = tf.searchsorted(ends, place[None], "right", "int64")[0]
        record = tf.minimum(record, self.num_records - 1)
        begin = tf.concat([[0.0], ends[:-1]], axis=0)[record]
        first = tf.cast(tf.math.ceil(begin - fraction), "int64")
        return record, tf.maximum(number - first, 0)
