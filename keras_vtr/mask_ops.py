"""Resizing of masks: one function for losses, detections and served graphs."""

import numpy as np


def resize_masks(maps, size, steps=None, ops=np):
    """Bilinear between the centers of the maps' pixels, the edge beyond them.

    Args:
        maps: (..., height', width') float32.
        size: (height, width), numbers or scalar tensors.
        steps: By which part of the maps' sides the pixels of the result stand
            apart, two numbers or scalars. Default: that of `1 / size`; less
            cuts off what is right and below.
        ops: NumPy or `keras.ops`.

    Returns:
        (..., height, width) float32.

    Example:

    >>> maps = np.array([[0.0, 1.0], [0.0, 1.0]], "float32")
    >>> print(keras_vtr.mask_ops.resize_masks(maps, (1, 4)))
    [[0.   0.25 0.75 1.  ]]
    """
    rows, columns = (
        _weights(
            ops.shape(maps)[i - 2],
            size[i],
            None if steps is None else steps[i],
            ops,
        )
        for i in range(2)
    )
    return ops.matmul(ops.matmul(rows, maps), ops.transpose(columns))


def _weights(before, after, step, ops):
    """(after, before) float32."""
    places = ops.arange(before, dtype="float32")
    centers = ops.arange(after, dtype="float32") + 0.5
    last = ops.max(places)
    if step is None:
        step = 1 / (ops.max(centers) + 0.5)
    centers = ops.clip(centers * (step * (last + 1)) - 0.5, 0, last)
    return ops.maximum(1 - ops.abs(centers[:, None] - places), 0)
