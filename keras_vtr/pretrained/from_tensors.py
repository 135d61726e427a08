"""One of our weights from tensors of a file, and how torch lays them out."""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass(frozen=True)
class FromTensors:
    """One of our weights, as a function of tensors of the file.

    Args:
        names: Of the tensors.
        convert: From their arrays to our weight's. Default: one, unchanged.
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


def count_layers(shapes, pattern):
    """One more than the highest number that `pattern` finds in the names."""
    found = (re.match(pattern, name) for name in shapes)
    numbers = [int(x.group(1)) for x in found if x]
    if not numbers:
        raise PretrainedError(f"No tensor's name begins with {pattern!r}.")
    return 1 + max(numbers)
