"""Resizing of what was learned on a grid, as each family of checkpoints does.

A row of the grid at a new size is a weighted sum of the old rows, and so for
columns: one small matrix for each axis says it all, and works under every
backend with sizes that are known only when the graph runs.
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


def interpolation_matrix(size, new_size, interpolation):
    """(new_size, size) float32: new = matrix @ old.

    Args:
        size: Number of old places, an integer.
        new_size: Number of new places, an integer or a scalar tensor.
        interpolation: A key of `INTERPOLATIONS`.
    """
    kernel = INTERPOLATIONS[interpolation]
    old = keras.ops.arange(-2, size + 2, dtype="float32")  # two beyond the edge
    new = keras.ops.arange(new_size, dtype="float32")
    new_size = keras.ops.cast(new_size, "float32")
    if interpolation == "bilinear":
        places = new * ((size - 1) / keras.ops.maximum(new_size - 1, 1.0))
    else:
        places = (new + 0.5) * (size / new_size) - 0.5
    widening = 1.0
    if interpolation == "bicubic_antialias":
        widening = keras.ops.maximum(size / new_size, 1.0)
    distance = keras.ops.abs(places[:, None] - old[None, :])
    if interpolation != "bicubic_antialias":
        # What falls beyond the edge goes to the edge.
        weights = kernel(distance)  # (new_size, size + 4)
        inside = weights[:, 2:-2]
        first = keras.ops.sum(weights[:, :2], axis=1, keepdims=True)
        last = keras.ops.sum(weights[:, -2:], axis=1, keepdims=True)
        at = keras.ops.arange(size)[None, :]
        return (
            inside
            + first * keras.ops.cast(at == 0, "float32")
            + (last * keras.ops.cast(at == size - 1, "float32"))
        )
    weights = kernel(distance[:, 2:-2] / widening)
    return weights / keras.ops.sum(weights, axis=1, keepdims=True)


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


def resize_grid(table, grid_shape, interpolation):
    """(rows, columns, D) -> (*grid_shape, D), in float32."""
    rows, columns, width = table.shape
    table = keras.ops.cast(table, "float32")
    by_row = interpolation_matrix(rows, grid_shape[0], interpolation)
    by_column = interpolation_matrix(columns, grid_shape[1], interpolation)
    table = keras.ops.matmul(
        by_row, keras.ops.reshape(table, (rows, columns * width))
    )
    table = keras.ops.reshape(table, (grid_shape[0], columns, width))
    return keras.ops.matmul(by_column, table)
