"""Pads images and targets of different sizes to one batch."""

import tensorflow as tf


def padded(
    rows, batch_size, canvas, size_multiple, length_multiple, drop_remainder
):
    """Batches `(inputs, y_true)`, padded on the right and at the bottom.

    Args:
        rows: A `tf.data.Dataset` of single images and their targets.
        batch_size: Images of a batch.
        canvas: `(height, width)` of all images, or None for the largest of
            the batch.
        size_multiple: Heights and widths become multiples of it.
        length_multiple: Numbers of boxes become multiples of it.
        drop_remainder: Whether to leave out a last, smaller batch.

    Returns:
        A `tf.data.Dataset` of batches.
    """
    y_true = rows.element_spec[1]
    height, width = canvas or (None, None)
    shapes = {"images": (height, width, 3), "padding_mask": (height, width)}
    target_shapes = {key: spec.shape for key, spec in y_true.items()}
    if "masks" in y_true:
        target_shapes["masks"] = (None, height, width)
    values = {key: _padding(key, spec.dtype) for key, spec in y_true.items()}
    batches = rows.padded_batch(
        batch_size,
        (shapes, target_shapes),
        ({"images": 0.0, "padding_mask": False}, values),
        drop_remainder,
    )

    def pad(inputs, y_true):
        if canvas is None and size_multiple > 1:
            inputs = {
                key: _pad(_pad(x, 1, size_multiple), 2, size_multiple)
                for key, x in inputs.items()
            }
            if "masks" in y_true:
                for axis in (2, 3):
                    masks = _pad(y_true["masks"], axis, size_multiple)
                    y_true = {**y_true, "masks": masks}
        y_true = {
            key: x
            if key == "image_shapes"
            else _pad(x, 1, length_multiple, values[key])
            for key, x in y_true.items()
        }
        return inputs, y_true

    return batches.map(pad).prefetch(2)


def _padding(key, dtype):
    """What pads the targets with this key: no label, no text, else 0."""
    if dtype == tf.string:
        return tf.constant("")
    return tf.cast(-1 if "labels" in key else 0, dtype)


def _pad(x, axis, multiple, value=0):
    more = -tf.shape(x)[axis] % multiple
    if x.dtype == tf.string:  # `tf.pad` has no kernel for texts
        return tf.concat([x, tf.fill([tf.shape(x)[0], more], value)], axis=1)
    paddings = [[0, more if i == axis else 0] for i in range(len(x.shape))]
    return tf.pad(x, paddings, constant_values=tf.cast(value, x.dtype))
