"""From a file's tensors to a model: which one, and which weight is which."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass
class NameMap:
    """How to make one of our models of a file of weights.

    Args:
        family: Whose names the tensors have, for reports.
        arguments: Of the function that builds the model.
        weights: Path of our weight, such as "head/kernel", to `FromTensors`.
        unused: Names in the file that our model has no use for.
        remarks: What had to be assumed.
        knows_pixels: Whether the file tells how pixels are normalized.
        builder: The function that builds the model.
    """

    family: str
    arguments: dict
    weights: dict
    unused: tuple = ()
    remarks: tuple = ()
    knows_pixels: bool = True
    builder: Callable | None = None

    heads = ()  # Beginnings of paths that `new_head=True` makes anew ...
    parts = ()  # ... and of parts that a model may have or not.

    def build(self, shapes, num_classes, image_shape, arguments):
        """The model, and the beginnings of what is new in it."""
        if self.builder is None:
            raise PretrainedError(
                f"The {self.family} family fills models (`load_weights`) and "
                "builds none: its NameMap has no `builder`."
            )
        given = {"num_classes": num_classes, "image_shape": image_shape}
        given = {key: x for key, x in given.items() if x is not None}
        return self.builder(**{**self.arguments, **given, **arguments}), ()

    def may_lack(self, path, paths, new):
        """Whether a model of these paths may do without one of our weights."""
        return path.startswith(self.heads + self.parts) and path not in paths

    def adapt(self, model, weight, shape):
        """For a weight that must be changed: (function, remark), or None."""

    def start(self, model, weight):
        """The value that a weight of a new head begins with."""
        return np.zeros(weight.shape, "float32")

    def wrong_settings(self, model):
        """What the model computes otherwise, as "argument=value" texts.

        Numbers of heads, activations and the like show in no weight's shape.
        """
        wrong = []
        for layer in model.layers:
            if layer.name in ("encoder", "decoder"):
                for key, found in _block_settings(layer.block).items():
                    value = self.arguments.get(key)
                    if value is not None and value != found:
                        wrong.append(f"{key}={value!r}, not {found!r}")
            if layer.name == "normalize_pixels" and self.knows_pixels:
                wrong += self._wrong_pixels(layer)
        return wrong

    def _wrong_pixels(self, layer):
        mean, std = (
            np.broadcast_to(self.arguments[key], (np.size(layer.scale),))
            for key in ("pixel_mean", "pixel_std")
        )
        same = np.allclose(layer.scale, 1 / std) and np.allclose(
            layer.offset, -mean / std, atol=1e-6
        )
        if same:
            return []
        names = ("pixel_mean", "pixel_std")
        return [f"{name}={self.arguments[name]}" for name in names]


def _block_settings(block):
    """None for what a block or a norm of a user's own doesn't have."""
    places = {
        "num_heads": ("attention", "num_heads"),
        "activation": ("feed_forward", "activation"),
        "layer_norm_epsilon": ("norm", "epsilon"),
    }
    return {
        key: getattr(getattr(block, part, None), attribute, None)
        for key, (part, attribute) in places.items()
    }


def grid_of_positions(counts, given, said=None):
    """(rows, columns) of a table that tells only how many positions it has.

    Args:
        counts: The numbers of patches that the table may be for.
        given: `position_grid`, as the user gave it, or None.
        said: (rows, columns) by a file of configuration, or None.

    Returns:
        The grid, and remarks.
    """
    grid = _pair_of_integers(given) if given is not None else said
    if grid is None:
        sides = [math.isqrt(count) for count in counts]
        squares = [x for x, y in zip(sides, counts, strict=True) if x * x == y]
        if not squares:
            raise PretrainedError(
                f"{counts[0]} positions of patches are no square grid. Give "
                "`position_grid=(rows, columns)`."
            )
        side = squares[0]
        return (side, side), (
            f"No file tells the grid of positions; assumed {side} x {side}. "
            "Give `position_grid=(rows, columns)` if it is another.",
        )
    if grid[0] * grid[1] not in counts:
        who = (
            "image size in the configuration"
            if given is None
            else ("`position_grid`")
        )
        raise PretrainedError(
            f"The {who} makes {grid[0]} x {grid[1]} patches; the file "
            f"has positions for {' or '.join(map(str, counts))}. Give "
            "`position_grid=(rows, columns)`."
        )
    return grid, ()


def _pair_of_integers(grid):
    is_pair = isinstance(grid, (tuple, list)) and len(grid) == 2
    if not is_pair or not all(isinstance(x, int) and x > 0 for x in grid):
        raise PretrainedError(
            "`position_grid` must be (rows, columns), whole numbers above 0. "
            f"Received: position_grid={grid!r}"
        )
    return tuple(grid)


def pixels(config, mean, std):
    """Arguments from preprocessor_config.json; else as given, with a remark.

    Returns:
        The arguments, remarks, and whether the file tells them.
    """
    given = config.preprocessor
    remarks = []
    unit = 1.0
    if given.flag("do_rescale", True):
        unit = 1 / given.number("rescale_factor", 1 / 255, above=0)
    else:
        given.ignore(["rescale_factor"])
        remarks.append(
            f"{given.place.name} says do_rescale=false: pixels in [0, 255] are "
            "normalized as they are. If it was trained on pixels in [0, 1], "
            "give 255 times these `pixel_mean` and `pixel_std`."
        )
    is_known = "image_mean" in given or not given.flag("do_normalize", True)
    if not given.flag("do_normalize", True):
        mean, std = 0.0, unit
        given.ignore(["image_mean", "image_std"])
    elif is_known:
        mean = _times(unit, given.numbers("image_mean"))
        std = _times(unit, given.numbers("image_std", REQUIRED, above=0))
    else:
        remarks.append(
            f"There is no {given.place.name} with an image_mean; assumed "
            f"pixel_mean={mean}, pixel_std={std}."
        )
    arguments = {"pixel_mean": mean, "pixel_std": std}
    return arguments, tuple(remarks), is_known


def _times(unit, value):
    if isinstance(value, tuple):
        return tuple(unit * x for x in value)
    return unit * value
