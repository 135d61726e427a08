"""The targets of records, in the graph of a data set."""

import numpy as np
import tensorflow as tf

from keras_vtr.data.host_calls import call_on_host


def target_reader(records, names, masks):
    """A function from an index to the targets of a record."""
    targets = {name: _ragged([x[name] for x in records]) for name in names}

    def decoded(index):
        return records[index]["masks"].decoded()

    def targets_of(index):
        found = {name: rows[index] for name, rows in targets.items()}
        if masks:
            pixels = call_on_host(decoded, [index], tf.bool)
            found["masks"] = tf.ensure_shape(pixels, (None, None, None))
        return found

    return targets_of


def encoded_masks(records, key, index):
    """(n,) COCO's encodings."""

    def encoded(index):
        return np.array(records[index][key].encoded(), "object")

    return tf.ensure_shape(call_on_host(encoded, [index], tf.string), (None,))


def _ragged(arrays):
    """A ragged tensor with one row per record."""
    lengths = [len(x) for x in arrays]
    return tf.RaggedTensor.from_row_lengths(np.concatenate(arrays), lengths)
