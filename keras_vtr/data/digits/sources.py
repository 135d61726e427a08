"""The pixels of scenes: handwritten digits and photographs of scikit-learn."""

import functools

import numpy as np

NUM_TRAIN = 1347  # of the 1,797 digits, in the order of the data set
NUM_TRAIN_COLUMNS = 380  # of a photograph's 640


@functools.cache
def load_digits(split):
    """The handwritten digits of `digit_scenes`.

    Args:
        split: `"train"`, 1,347 digits, or `"held_out"`, 450.

    Returns:
        `images` (n, 8, 8) float32 in [0, 255], `labels` (n,) int32, and `ink`
        (n, 4) float32, the smallest `xyxy` box around all pixels above 0.

    Raises:
        ImportError: If scikit-learn is not installed.

    Example:

    >>> images, labels, ink = keras_vtr.data.load_digits("held_out")
    >>> print(images.shape, labels[:3])
    (450, 8, 8) [3 7 3]
    """
    data = _sample_data().load_digits()
    part = slice(NUM_TRAIN) if split == "train" else slice(NUM_TRAIN, None)
    images = (data.images[part] * (255 / 16)).astype("float32")
    ink = []
    for image in images:
        rows = np.flatnonzero(image.any(axis=1))
        columns = np.flatnonzero(image.any(axis=0))
        ink.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    labels = data.target[part].astype("int32")
    return images, labels, np.array(ink, "float32")


@functools.cache
def load_photographs(split):
    """The left parts of two gray photographs, or the right ones, held out.

    Returns:
        (2, 427, 380) float32 in [0, 255], or (2, 427, 260).
    """
    images = np.stack(_sample_data().load_sample_images().images)
    columns = slice(NUM_TRAIN_COLUMNS)
    if split == "held_out":
        columns = slice(NUM_TRAIN_COLUMNS, None)
    return images[:, :, columns].mean(axis=-1, dtype="float32")


def _sample_data():
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "The handwritten digits come with scikit-learn. Install it: "
            "pip install scikit-learn"
        ) from error
    return datasets
