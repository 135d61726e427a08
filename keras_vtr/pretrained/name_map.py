"""Which model a file makes, and which tensor becomes which weight."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.stages import DETR


@dataclasses.dataclass
class NameMap:
    """Which model a file of weights makes, and which tensor is which weight.

    `from_pretrained` calls `build`, then loads the weights; `load_weights`
    calls `wrong_settings`, then loads them. Loading is strict: each weight of
    the model needs an entry in `weights`, and each tensor of the file must be
    in `weights` or `unused`. Simple models need no subclass, but it may have:

    - `heads`: prefixes of paths, such as `("head/",)`: the weights that
      `new_head=True` initializes, and that a model may lack.
    - `takes`: arguments of detectors that `build` takes, some of "padding",
      "masks" and "num_queries". Those without padding read images of one size.
    - `task`: of the models, such as "detection"; None fits all data.
    - `parts`: prefixes of further parts that a model may lack, such as a
      pooling layer before the head.
    - `build`, if `builder` needs more than the merged arguments; it also
      returns the prefixes of paths that are not loaded but initialized.
    - `may_lack`, if a model may lack more, or less, than heads and parts.
    - `adapt`, if a tensor may have another shape than the weight: to resize
      positions, or to take the first queries only.
    - `start`, if new weights don't begin with zeros.
    - `wrong_settings`, if the model has settings that no shape shows, besides
      those that are compared here.

    Args:
        family: Name of the project that named the tensors, for reports.
        arguments: Of `builder`, as read from the file.
        weights: Dict of the path of our weight, such as "head/kernel", to a
            `FromTensors`; see `dense`, `norm` and `convolution`.
        unused: Names of tensors in the file that our model doesn't need.
        remarks: Sentences on what had to be assumed.
        knows_pixels: Whether the file gives `pixel_mean` and `pixel_std`.
        builder: The function that builds the model. None: the family only
            fills models, in `load_weights`.
        license: That of all weights of the family, if there is one.
    """

    family: str
    arguments: dict
    weights: dict
    unused: tuple = ()
    remarks: tuple = ()
    knows_pixels: bool = True
    builder: Callable | None = None
    license: str | None = None

    heads = ()
    parts = ()
    takes = ("padding", "masks", "num_queries")
    task = None

    def build(self, shapes, num_classes, image_shape, arguments):
        """Builds the model.

        Args:
            shapes: Dict of each tensor's name to its shape.
            num_classes: As the user gave it, or None.
            image_shape: As the user gave it, or None.
            arguments: The user's further arguments, which override the file's.

        Returns:
            The model, and a tuple of prefixes of the paths that are new in it.
        """
        if self.builder is None:
            raise PretrainedError(
                f"The {self.family} family fills models (`load_weights`) and "
                "builds none: its NameMap has no `builder`."
            )
        given = {"num_classes": num_classes, "image_shape": image_shape}
        given = {key: x for key, x in given.items() if x is not None}
        return self.builder(**{**self.arguments, **given, **arguments}), ()

    def may_lack(self, path, paths, new):
        """Whether a model may lack one of our weights.

        Args:
            path: Of the weight.
            paths: Of all weights of the model.
            new: Prefixes of the paths that are new.
        """
        return path.startswith(self.heads + self.parts) and path not in paths

    def adapt(self, model, weight, shape):
        """How to change a value of the file for a weight of the model.

        Args:
            model: The model.
            weight: The weight that the value is for.
            shape: Of the value, after `FromTensors.convert`.

        Returns:
            None if the shapes must be equal; else a function from the value
            to the weight's, and a remark for the report.
        """

    def start(self, model, weight):
        """The value, a NumPy array, that a new weight begins with."""
        return np.zeros(weight.shape, "float32")

    def wrong_settings(self, model):
        """Settings of the model that differ from the file's.

        Returns:
            A list of texts such as "num_heads=8, not 4".
        """
        wrong = []
        for layer in model.layers:
            # An encoder without weights is the end of a ViT.
            if layer.name in (DETR.ENCODER, DETR.DECODER) and layer.weights:
                block = getattr(layer, "block", None)
                wrong += wrong_block_settings(block, self.arguments)
            if layer.name == DETR.NORMALIZE_PIXELS and self.knows_pixels:
                wrong += self._wrong_pixels(layer)
        return wrong

    def _wrong_pixels(self, layer):
        names = ("pixel_mean", "pixel_std")
        if not set(names) <= set(self.arguments):
            return []
        mean, std = (
            np.broadcast_to(self.arguments[name], (np.size(layer.scale),))
            for name in names
        )
        same = np.allclose(layer.scale, 1 / std) and np.allclose(
            layer.offset, -mean / std, atol=1e-6
        )
        if same:
            return []
        return [f"{name}={self.arguments[name]}" for name in names]


def wrong_block_settings(block, arguments):
    """Settings of a block that differ from the file's, as texts.

    A user's own block or norm has None for what it doesn't have.
    """
    attributes = {
        "num_heads": ("attention", "num_heads"),
        "activation": ("feed_forward", "activation"),
        "layer_norm_epsilon": ("norm", "epsilon"),
    }
    wrong = []
    for key, (part, attribute) in attributes.items():
        value = arguments.get(key)
        found = getattr(getattr(block, part, None), attribute, None)
        if value is not None and value != found:
            wrong.append(f"{key}={value!r}, not {found!r}")
    return wrong


def grid_of_positions(counts, given, configured=None):
    """(rows, columns) of a table of positions, which only shows their number.

    Args:
        counts: The numbers of patches that the table may be for.
        given: `position_grid`, as the user gave it, or None.
        configured: (rows, columns) from the configuration, or None.

    Returns:
        The grid, and remarks.
    """
    grid = _pair_of_integers(given) if given is not None else configured
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
            f"No file gives the grid of positions; assumed {side} x {side}. "
            "Give `position_grid=(rows, columns)` if it is another.",
        )
    if grid[0] * grid[1] not in counts:
        argument = "`position_grid`"
        if given is None:
            argument = "image size in the configuration"
        raise PretrainedError(
            f"The {argument} makes {grid[0]} x {grid[1]} patches; the file "
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
        The arguments, remarks, and whether the file gives them.
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
            "normalized as they are. If the model was trained on pixels in "
            "[0, 1], give 255 times these `pixel_mean` and `pixel_std`."
        )
    is_known = "image_mean" in given or not given.flag("do_normalize", True)
    if not given.flag("do_normalize", True):
        mean, std = 0.0, unit
        given.ignore(["image_mean", "image_std"])
    elif is_known:
        mean = multiply(unit, given.numbers("image_mean"))
        std = multiply(unit, given.numbers("image_std", REQUIRED, above=0))
    else:
        remarks.append(
            f"There is no {given.place.name} with an image_mean; assumed "
            f"pixel_mean={mean}, pixel_std={std}."
        )
    arguments = {"pixel_mean": mean, "pixel_std": std}
    return arguments, tuple(remarks), is_known


def multiply(unit, value):
    """Multiplies a number, or each of a tuple."""
    if isinstance(value, tuple):
        return tuple(unit * x for x in value)
    return unit * value
