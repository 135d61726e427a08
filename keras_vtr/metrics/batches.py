"""Data sets that metrics evaluate a model on."""

import keras
import numpy as np


def finite_batches(data):
    """Batches of `(images, y_true)`, the images as arrays of NumPy.

    JAX's trainer takes no tensors of TensorFlow.

    Raises:
        ValueError: If the data set never ends.
    """
    # tf.data's value for an infinite data set.
    if hasattr(data, "cardinality") and int(data.cardinality()) == -1:
        raise ValueError(
            "`data` must be finite. Received: an infinite data set. Take "
            "a number of batches: data.take(10)"
        )
    for images, y_true in data:
        yield keras.tree.map_structure(np.asarray, images), y_true
