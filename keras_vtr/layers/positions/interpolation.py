"""Resizes tables that were learned on a grid, as their families do.

A row of the new grid is a weighted sum of the old rows, and so for columns: one
small matrix for each axis. It works on every backend, and with sizes that are
known only when the graph runs.
"""

import keras


def _linear(distance):
    return keras.ops.maximum(1.0 - distance, 0.0)


def _cubic(a):
    """Keys 1981, equations 4 and 15."""

    def kernel(distance):
        x = distance
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return keras.ops.where(
            x <= 1.0, near, keras.ops.where(x < 2.0, far, 0.0)
        )

    return kernel


# "bilinear": corners stay corners, as scipy.ndimage.zoom(order=1) does in
# Google's code. "bicubic": torch's, four taps wherever it goes.
# "bicubic_antialias": Pillow's and torch's antialias=True, whose taps widen
# when the grid shrinks.
INTERPOLATIONS = {
    "bilinear": _linear,
    "bicubic": _cubic(-0.75),
    "bicubic_antialias": _cubic(-0.5),
}


def interpolation_matrix(size, new_size, interpolation, num_real=None):
    """([B,] new_size, size) float32: new = matrix @ old.

    Args:
        size: Number of old positions, an integer.
        new_size: Number of new positions, an integer or a scalar tensor.
        interpolation: A key of `INTERPOLATIONS`.
        num_real: How many of the new positions the old ones are spread over,
            one number or (B,), one for each image; those after them are
            padding, and are as the last one. Default: all.
    """
    kernel = INTERPOLATIONS[interpolation]
    old = keras.ops.arange(-2, size + 2, dtype="float32")  # two beyond the edge
    new = keras.ops.arange(new_size, dtype="float32")
    num_real = new_size if num_real is None else num_real
    num_real = keras.ops.cast(num_real, "float32")[..., None]  # ([B,] 1)
    num_real = keras.ops.maximum(num_real, 1.0)  # of an image of padding only
    new = keras.ops.minimum(new, num_real - 1)
    if interpolation == "bilinear":
        center = new * ((size - 1) / keras.ops.maximum(num_real - 1, 1.0))
    else:
        center = (new + 0.5) * (size / num_real) - 0.5
    distance = keras.ops.abs(center[..., None] - old)  # ([B,] new, size + 4)
    if interpolation == "bicubic_antialias":
        widening = keras.ops.maximum(size / num_real, 1.0)[..., None]
        weights = kernel(distance[..., 2:-2] / widening)
        return weights / keras.ops.sum(weights, axis=-1, keepdims=True)
    # The taps beyond the edge are added to the edge.
    weights = kernel(distance)
    first = keras.ops.sum(weights[..., :2], axis=-1, keepdims=True)
    last = keras.ops.sum(weights[..., -2:], axis=-1, keepdims=True)
    at = keras.ops.arange(size)
    return (
        weights[..., 2:-2]
        + first * keras.ops.cast(at == 0, "float32")
        + last * keras.ops.cast(at == size - 1, "float32")
    )


def resize_nearest(x, height, width):
    """(B, rows, columns, ...) -> (B, height, width, ...).

    Row i is the old row `floor(i * rows / height)`, as torch has it.
    """
    for axis, after in ((1, height), (2, width)):
        before = keras.ops.shape(x)[axis]
        # In float32, because torch computes it so.
        scale = keras.ops.cast(before, "float32") / keras.ops.cast(
            after, "float32"
        )
        old = keras.ops.floor(keras.ops.arange(after, dtype="float32") * scale)
        old = keras.ops.minimum(keras.ops.cast(old, "int32"), before - 1)
        x = keras.ops.take(x, old, axis=axis)
    return x


def enlarge(x, factor):
    """(B, rows, columns, C) -> (B, factor * rows, factor * columns, C).

    Bilinear between the centers of pixels, the edge beyond them.
    `keras.ops.image.resize` of Keras 3.15 fails in a graph of free size.
    """
    ops = keras.ops
    for axis in (1, 2) if factor > 1 else ():
        count = ops.shape(x)[axis]
        at = ops.arange(count, dtype="int32")
        before = ops.take(x, ops.maximum(at - 1, 0), axis=axis)
        after = ops.take(x, ops.minimum(at + 1, count - 1), axis=axis)
        parts = []
        for i in range(factor):
            place = (i + 0.5) / factor - 0.5  # from the pixel's center
            other = before if place < 0 else after
            parts.append((1 - abs(place)) * x + abs(place) * other)
        shape = list(ops.shape(x))
        shape[axis] *= factor
        x = ops.reshape(ops.stack(parts, axis=axis + 1), shape)
    return x


def resize_grid(table, grid_shape, interpolation, real_grid=(None, None)):
    """(rows, columns, D) -> ([B,] *grid_shape, D), in float32.

    Args:
        table: What was learned.
        grid_shape: New rows and columns, numbers or scalar tensors.
        interpolation: A key of `INTERPOLATIONS`.
        real_grid: Rows and columns that the table is spread over, (B,) each.
            Default: all of them, for all images alike.
    """
    rows, columns, width = table.shape
    table = keras.ops.cast(table, "float32")
    by_row, by_column = (
        interpolation_matrix(old, new, interpolation, num_real)
        for old, new, num_real in zip(
            (rows, columns), grid_shape, real_grid, strict=True
        )
    )
    table = keras.ops.reshape(table, (rows, columns * width))
    table = keras.ops.matmul(by_row, table)  # ([B,] rows', columns * D)
    shape = (*keras.ops.shape(table)[:-1], columns, width)
    return keras.ops.matmul(
        by_column[..., None, :, :], keras.ops.reshape(table, shape)
    )
