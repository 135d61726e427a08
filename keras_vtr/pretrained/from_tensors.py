"""One of our weights from tensors of a file, and how torch stores them."""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass(frozen=True)
class FromTensors:
    """One of our weights, as a function of tensors of the file.

    Args:
        names: Tuple of the tensors' names.
        convert: Function from their arrays, float32, to the array of our
            weight. It is first called with zeros, to compare shapes. Default:
            the one array, unchanged.

    Example:

    >>> query_and_key = keras_vtr.pretrained.FromTensors(
    ...     ("query.weight", "key.weight"),
    ...     lambda query, key: np.concatenate([query, key]).T,
    ... )
    """

    names: tuple
    convert: Callable = lambda array: array


def dense(ours, theirs):
    """Maps a `keras.layers.Dense` to torch's `Linear`, which is x W^T.

    Args:
        ours: Path of our layer, such as "encoder/block_0/feed_forward/layer".
        theirs: Name of theirs, without ".weight".

    Returns:
        Part of the `weights` of a `NameMap`.
    """
    return {
        f"{ours}/kernel": FromTensors((f"{theirs}.weight",), np.transpose),
        f"{ours}/bias": FromTensors((f"{theirs}.bias",)),
    }


def norm(ours, theirs):
    """Maps a layer norm or a group norm; arguments as in `dense`."""
    return {
        f"{ours}/gamma": FromTensors((f"{theirs}.weight",)),
        f"{ours}/beta": FromTensors((f"{theirs}.bias",)),
    }


def convolution(ours, theirs, use_bias=True):
    """Maps a convolution: torch's (out, in, height, width) to Keras's.

    Args:
        ours: As in `dense`.
        theirs: As in `dense`.
        use_bias: Whether it has a bias.
    """
    weights = {
        f"{ours}/kernel": FromTensors(
            (f"{theirs}.weight",), lambda w: np.transpose(w, (2, 3, 1, 0))
        )
    }
    if use_bias:
        weights[f"{ours}/bias"] = FromTensors((f"{theirs}.bias",))
    return weights


def projection_of_three(ours, weight, bias, index):
    """Maps the query (0), key (1) or value (2) of one joined (3 D, D) matrix.

    Args:
        ours: As in `dense`.
        weight: Name of the joined matrix.
        bias: Name of the joined bias, (3 D,).
        index: Which third is ours.
    """

    def third(array):
        return np.split(array, 3)[index].T

    return {
        f"{ours}/kernel": FromTensors((weight,), third),
        f"{ours}/bias": FromTensors((bias,), third),
    }


def first_present(shapes, names, suffix=".weight"):
    """The first of the names that the file has; else the first of all."""
    return next((x for x in names if x + suffix in shapes), names[0])


def find_prefix(shapes, end):
    """What stands before the end of the first name that has it; or None."""
    return next((x.removesuffix(end) for x in shapes if x.endswith(end)), None)


def find_numbers(shapes, template):
    """Sorted tuples of the numbers in names that begin with a template.

    Args:
        shapes: Dict of tensor name to shape.
        template: Such as "layer{}.{}.", with `{}` for each number.
    """
    pattern = re.escape(template).replace(r"\{\}", r"(\d+)")
    found = (re.match(pattern, name) for name in shapes)
    return sorted({tuple(map(int, x.groups())) for x in found if x})


def count_layers(shapes, template):
    """One more than the highest number that `find_numbers` finds."""
    numbers = find_numbers(shapes, template)
    if not numbers:
        raise PretrainedError(f"No tensor's name begins with {template!r}.")
    return 1 + numbers[-1][0]
