"""Checks of arguments and shapes, with the same messages in every layer."""

import keras


def check_positive_int(name, value):
    _require(name, value, _is_int(value) and value > 0, "a positive integer")


def check_count(name, value):
    fits = _is_int(value) and value >= 0
    _require(name, value, fits, "an integer, 0 or more")


def check_fraction(name, value):
    fits = isinstance(value, (int, float)) and 0 <= value < 1
    _require(name, value, fits, "a number in [0, 1)")


def check_positive(name, value):
    fits = isinstance(value, (int, float)) and value > 0
    _require(name, value, fits, "a number above 0")


def check_choice(name, value, choices):
    _require(name, value, value in choices, f"one of {sorted(choices)}")


def check_grid_shape(value):
    """Accepts None or two positive integers."""
    if value is None:
        return
    fits = isinstance(value, (tuple, list)) and len(value) == 2
    _require("grid_shape", value, fits, "(rows, columns) or None")
    for name, side in zip(("rows", "columns"), value, strict=True):
        check_positive_int(f"{name} of grid_shape", side)


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _require(name, value, fits, what):
    if not fits:
        raise ValueError(f"`{name}` must be {what}. Received: {name}={value!r}")


def grid_for(grid_shape, feature_map_shape):
    """(rows, columns) of a table: as given, or else the feature map's."""
    if grid_shape is not None:
        return tuple(grid_shape)
    check_static("feature_map", feature_map_shape, 1, "height")
    check_static("feature_map", feature_map_shape, 2, "width")
    return tuple(feature_map_shape[1:3])


def check_rank(name, shape, letters):
    """Requires a shape with as many axes as `letters`."""
    if len(shape) != len(letters):
        raise ValueError(
            f"`{name}` must have the shape ({', '.join(letters)}). "
            f"Received: {name}.shape={tuple(shape)}"
        )


def check_feature_map(shape, padding_mask_shape=None, channels="D"):
    """Requires the ranks of a feature map and of its optional mask."""
    letters = ("B", "height", "width", channels)
    check_rank("feature_map", shape, letters)
    if padding_mask_shape is not None:
        check_rank("padding_mask", padding_mask_shape, letters[:3])


def check_static(name, shape, axis, meaning):
    """Requires a known size of an axis that fixes the size of a weight."""
    if shape[axis] is None:
        raise ValueError(
            f"`{name}` must have a known {meaning}, since it is the size of a "
            f"weight. Received: {name}.shape={tuple(shape)}"
        )


def require_sides(x, sides, reason):
    """Returns x, or raises an error at run time if its sides are others.

    This is for sides that are unknown when a graph is traced: no check in
    Python sees them, and XLA removes assertions. The error comes from a
    reshape to another number of elements. So all `sides` must be at least, or
    all at most, those of x.

    Args:
        x: (B, N, D), or (B, height, width, C).
        sides: The required sizes between B and D, numbers or scalar tensors.
        reason: Letters and underscores, for the name of the operation, which
            TensorFlow's error shows.
    """
    if all(isinstance(side, int) for side in x.shape[1:-1]):
        return x
    batch_size, *_, width = keras.ops.shape(x)
    with keras.name_scope(reason):
        return keras.ops.reshape(x, (batch_size, *sides, width))
