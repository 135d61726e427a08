"""What a checkpoint says: which model to build, and which weight is which."""

import dataclasses
import math
import re
from collections.abc import Callable

import numpy as np

from keras_vtr.checkpoints.tensor_file import CheckpointError


@dataclasses.dataclass(frozen=True)
class Source:
    """One of our weights, as a function of tensors of the file."""

    names: tuple
    convert: Callable = lambda array: array


@dataclasses.dataclass
class Recipe:
    """How to make one of our models of a checkpoint.

    Args:
        family: Whose layout it is.
        arguments: Of `keras_vtr.models.build_vit`.
        weights: Path of our weight to `Source`.
        bit_resnet: Arguments of the hybrid's backbone, or None.
        unused: Names in the file that our model has no use for.
        remarks: What had to be assumed of the pixels' normalization.
    """

    family: str
    arguments: dict
    weights: dict
    bit_resnet: dict | None = None
    unused: tuple = ()
    remarks: tuple = ()

    @property
    def stride(self):
        """Pixels from one token to the next."""
        if self.bit_resnet is None:
            return self.arguments["patch_size"]
        num_stages = len(self.bit_resnet["num_units"])
        return self.arguments["patch_size"] * 4 * 2 ** max(num_stages - 1, 0)

    def num_channels(self, shapes):
        """Of the images, as the first convolution's kernel has it."""
        path = "patches/projection/kernel"
        if self.bit_resnet is not None:
            path = "root_convolution/kernel"
        source = self.weights[path]
        blank = np.broadcast_to(np.float32(0), shapes[source.names[0]])
        return source.convert(blank).shape[2]


def dense(ours, theirs):
    """torch's matrices map by x W^T; ours by x W."""
    return {
        f"{ours}/kernel": Source((f"{theirs}.weight",), np.transpose),
        f"{ours}/bias": Source((f"{theirs}.bias",)),
    }


def norm(ours, theirs):
    return {
        f"{ours}/gamma": Source((f"{theirs}.weight",)),
        f"{ours}/beta": Source((f"{theirs}.bias",)),
    }


def convolution(ours, theirs, use_bias=True):
    """torch: (out, in, height, width); ours: (height, width, in, out)."""
    weights = {
        f"{ours}/kernel": Source(
            (f"{theirs}.weight",), lambda w: np.transpose(w, (2, 3, 1, 0))
        )
    }
    if use_bias:
        weights[f"{ours}/bias"] = Source((f"{theirs}.bias",))
    return weights


def bit_resnet(shapes, root_convolution, root_norm, unit):
    """Our backbone's arguments and weights, from torch's names.

    Args:
        shapes: Name to shape.
        root_convolution: Name of the first convolution.
        root_norm: Name of the norm behind it.
        unit: Name of a unit, with `{stage}` and `{unit}` to fill in.
    """
    pattern = re.escape(unit).replace(r"\{stage\}", r"(\d+)")
    pattern = pattern.replace(r"\{unit\}", r"(\d+)") + r"\."
    units = {
        tuple(int(x) for x in found.groups())
        for found in (re.match(pattern, name) for name in shapes)
        if found
    }
    num_stages = 1 + max((stage for stage, _ in units), default=-1)
    num_units = [sum(s == i for s, _ in units) for i in range(num_stages)]
    weights = convolution("root_convolution", root_convolution, False)
    weights |= norm("root_norm", root_norm)
    for stage, i in sorted(units):
        ours = f"stage_{stage}_unit_{i}"
        theirs = unit.format(stage=stage, unit=i)
        for part in range(3):
            weights |= convolution(
                f"{ours}_convolution_{part}", f"{theirs}.conv{part + 1}", False
            )
            weights |= norm(f"{ours}_norm_{part}", f"{theirs}.norm{part + 1}")
        if f"{theirs}.downsample.conv.weight" in shapes:
            weights |= convolution(
                f"{ours}_projection", f"{theirs}.downsample.conv", False
            )
            weights |= norm(
                f"{ours}_projection_norm", f"{theirs}.downsample.norm"
            )
    arguments = {
        "num_units": tuple(num_units),
        "width": shapes[f"{root_convolution}.weight"][0],
        "group_norm_epsilon": 1e-5,
        "standardization_epsilon": 1e-8,
    }
    return arguments, weights


def count_layers(shapes, pattern):
    """One more than the highest number that `pattern` finds in the names."""
    found = (re.match(pattern, name) for name in shapes)
    numbers = [int(x.group(1)) for x in found if x]
    if not numbers:
        raise CheckpointError(f"No tensor's name begins with {pattern!r}.")
    return 1 + max(numbers)


def square_grid(num_positions):
    """(rows, columns) of a table that tells only how many positions it has."""
    side = math.isqrt(num_positions)
    if side * side != num_positions:
        raise CheckpointError(
            f"{num_positions} positions of patches are no square grid. Give "
            "`position_grid=(rows, columns)`."
        )
    return (side, side)
