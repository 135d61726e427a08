"""Files of ViTs, whoever wrote them, become models of `build_vit`."""

import dataclasses
import math
import re

import keras
import numpy as np

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.layers.positions.interpolation import resize_grid
from keras_vtr.models import build_vit
from keras_vtr.pretrained.from_tensors import convolution
from keras_vtr.pretrained.from_tensors import norm
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass
class VitNameMap(NameMap):
    """How to make a ViT.

    Args:
        bit_resnet: Arguments of the hybrid's backbone, or None.
    """

    bit_resnet: dict | None = None

    heads = ("head/", "distillation_head/")
    parts = ("representation/",)

    def build(self, shapes, num_classes, image_shape, arguments):
        new = self._new_parts(num_classes, arguments)
        arguments = {**self.arguments, **arguments}
        if num_classes is not None:
            arguments["num_classes"] = num_classes
        if num_classes == 0:
            arguments["distilled"] = False
        if arguments.get("num_heads") is None:
            raise PretrainedError(
                "The arrays don't tell the number of heads, and a width of "
                f"{arguments['hidden_dim']} is no usual one. Give `num_heads`."
            )
        grid = arguments.get("position_grid", (14, 14))
        if image_shape is None:
            stride = token_stride(arguments["patch_size"], self.bit_resnet)
            sides = (side * stride for side in grid)
            image_shape = (*sides, self._num_channels(shapes))
        if None not in image_shape[:2]:
            arguments.pop("position_grid", None)  # the image's own
        own_names = self.arguments.get("class_names")
        if arguments["num_classes"] != self.arguments["num_classes"]:
            if arguments.get("class_names") is own_names:
                arguments["class_names"] = None  # they name other classes
        if self.bit_resnet is not None:
            arguments["backbone"] = build_bit_resnet(
                image_shape, **self.bit_resnet
            )
        model = build_vit(image_shape=image_shape, **arguments)
        return model, new

    def _new_parts(self, num_classes, arguments):
        """Beginnings of paths; sets the width before the head in `arguments`.

        The layer before the head of pre-training is dropped with it, as
        Google's and transformers' classifiers do, unless it is asked for.
        """
        own_classes = self.arguments["num_classes"]
        own_dim = self.arguments.get("representation_dim")
        is_new = num_classes not in (None, own_classes)
        default = None if is_new and num_classes else own_dim
        dim = arguments.setdefault("representation_dim", default)
        if dim != own_dim and own_classes and not is_new:
            raise PretrainedError(
                "`representation_dim` must be that of the file, whose "
                f"head reads it: {own_dim}. Give another `num_classes` for a "
                f"new head. Received: representation_dim={dim}"
            )
        new = self.heads if is_new else ()
        return new if dim in (None, own_dim) else new + self.parts

    def may_lack(self, path, paths, new):
        """A head that stays needs the layer before it."""
        is_head_kept = "head/kernel" in paths and not "head/".startswith(new)
        if path.startswith(self.parts) and is_head_kept:
            return False
        return super().may_lack(path, paths, new)

    def start(self, model, weight):
        """A head begins with zeros, what stands before it as it was built."""
        if weight.path.startswith(self.parts):
            return keras.ops.convert_to_numpy(weight)
        return super().start(model, weight)

    def adapt(self, model, weight, shape):
        is_position = weight.path == "positions/position_embedding"
        if not is_position or shape[-1] != weight.shape[-1]:
            return None
        layer = model.get_layer("positions")
        new_grid = getattr(layer, "grid", None)
        grid = self.arguments["position_grid"]
        num_leading = getattr(layer, "num_leading_tokens", 0)
        is_whole = shape[1] == num_leading + math.prod(grid)
        if not new_grid or tuple(new_grid) == grid or not is_whole:
            return None
        interpolation = self.arguments["position_interpolation"]

        def resize(value):
            rest = value[0, num_leading:].reshape(*grid, -1)
            rest = resize_grid(rest, new_grid, interpolation)
            rest = keras.ops.convert_to_numpy(rest)
            rest = rest.reshape(1, -1, value.shape[-1])
            return np.concatenate([value[:, :num_leading], rest], axis=1)

        return resize, (
            f"Positions were resized from {grid[0]} x {grid[1]} to "
            f"{new_grid[0]} x {new_grid[1]} ({interpolation})."
        )

    def _num_channels(self, shapes):
        """Of the images, as the first convolution's kernel has it."""
        path = "patches/projection/kernel"
        if self.bit_resnet is not None:
            path = "root_convolution/kernel"
        tensors = self.weights[path]
        blank = np.broadcast_to(np.float32(0), shapes[tensors.names[0]])
        return tensors.convert(blank).shape[2]


def token_stride(patch_size, bit_resnet=None):
    """Pixels from one token to the next."""
    if bit_resnet is None:
        return patch_size
    num_stages = len(bit_resnet["num_units"])
    return patch_size * 4 * 2 ** max(num_stages - 1, 0)


def read_bit_resnet(shapes, root_convolution, root_norm, unit):
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
