"""Checks of arguments and shapes, so that every layer words them alike."""

import keras


def check_positive_int(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )


def check_fraction(name, value):
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(
            f"`{name}` must be a number in [0, 1). Received: {name}={value!r}"
        )


def check_positive(name, value):
    if not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(
            f"`{name}` must be a number above 0. Received: {name}={value!r}"
        )


def check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {sorted(choices)}. "
            f"Received: {name}={value!r}"
        )


def check_grid_shape(value):
    """Accepts None, or two positive integers."""
    if value is None:
        return
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(
            "`grid_shape` must be (rows, columns) or None. Received: "
            f"grid_shape={value!r}"
        )
    for name, side in zip(("rows", "columns"), value, strict=True):
        check_positive_int(f"{name} of grid_shape", side)


def grid_for(grid_shape, feature_map_shape):
    """(rows, columns) that a table is made for: as given, or as the map's."""
    if grid_shape is not None:
        return tuple(grid_shape)
    check_static("feature_map", feature_map_shape, 1, "height")
    check_static("feature_map", feature_map_shape, 2, "width")
    return tuple(feature_map_shape[1:3])


def check_count(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(
            f"`{name}` must be an integer, 0 or more. Received: "
            f"{name}={value!r}"
        )


def check_rank(name, shape, letters):
    """Refuses a shape whose rank is not the number of `letters`."""
    if len(shape) != len(letters):
        raise ValueError(
            f"`{name}` must have the shape ({', '.join(letters)}). "
            f"Received: {name}.shape={tuple(shape)}"
        )


def check_static(name, shape, axis, meaning):
    """Refuses a shape that leaves open an axis which fixes a weight's size."""
    if shape[axis] is None:
        raise ValueError(
            f"`{name}` must have a known {meaning}, since it is the size of a "
            f"weight. Received: {name}.shape={tuple(shape)}"
        )


def require_sides(x, sides, reason):
    """x, or an error as the graph runs where its sides are not these.

    For sides that a graph leaves open, where no check in Python sees them and
    asserts don't hold under XLA: a reshape to another number of elements can't
    be computed. So the sides must all be at least those of x, or all at most.

    Args:
        x: (B, N, D), or (B, height, width, C).
        sides: What is between B and D must be, numbers or scalar tensors.
        reason: Letters and underscores, for the name of the operation, which
            TensorFlow's error shows.
    """
    if all(isinstance(side, int) for side in x.shape[1:-1]):
        return x
    batch_size, *_, width = keras.ops.shape(x)
    with keras.name_scope(reason):
        return keras.ops.reshape(x, (batch_size, *sides, width))
