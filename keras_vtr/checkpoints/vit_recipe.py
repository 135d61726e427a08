"""ViT's checkpoints, whoever wrote them, become models of `build_vit`."""

import dataclasses
import re

import keras
import numpy as np

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.checkpoints.recipe import Recipe
from keras_vtr.checkpoints.recipe import convolution
from keras_vtr.checkpoints.recipe import norm
from keras_vtr.checkpoints.tensor_file import CheckpointError
from keras_vtr.layers.interpolation import resize_grid
from keras_vtr.models import build_vit


@dataclasses.dataclass
class VitRecipe(Recipe):
    """How to make a ViT.

    Args:
        bit_resnet: Arguments of the hybrid's backbone, or None.
    """

    bit_resnet: dict | None = None

    heads = ("head/", "distillation_head/")

    @property
    def stride(self):
        """Pixels from one token to the next."""
        if self.bit_resnet is None:
            return self.arguments["patch_size"]
        num_stages = len(self.bit_resnet["num_units"])
        return self.arguments["patch_size"] * 4 * 2 ** max(num_stages - 1, 0)

    def build(self, shapes, num_classes, image_shape, arguments):
        arguments = {**self.arguments, **arguments}
        own_classes = self.arguments["num_classes"]
        is_new = num_classes is not None and num_classes != own_classes
        if num_classes is not None:
            arguments["num_classes"] = num_classes
            if num_classes == 0:
                arguments["distilled"] = False
        if arguments.get("num_heads") is None:
            raise CheckpointError(
                "The arrays don't tell the number of heads, and a width of "
                f"{arguments['hidden_dim']} is no usual one. Give `num_heads`."
            )
        grid = arguments.get("position_grid", (14, 14))
        if image_shape is None:
            sides = (side * self.stride for side in grid)
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
        return model, self.heads if is_new else ()

    def adapt(self, model, weight, shape):
        is_position = weight.path == "positions/position_embedding"
        if not is_position or shape[-1] != weight.shape[-1]:
            return None
        layer = model.get_layer("positions")
        if not getattr(layer, "grid", None):
            return None
        interpolation = self.arguments["position_interpolation"]

        def resize(value):
            num_leading = layer.num_leading_tokens
            grid = self.arguments["position_grid"]
            rest = value[0, num_leading:].reshape(*grid, -1)
            rest = resize_grid(rest, layer.grid, interpolation)
            rest = keras.ops.convert_to_numpy(rest)
            rest = rest.reshape(1, -1, value.shape[-1])
            return np.concatenate([value[:, :num_leading], rest], axis=1)

        return resize, (
            f"Positions were resized from {shape[1]} to {weight.shape[1]} "
            f"({interpolation})."
        )

    def _num_channels(self, shapes):
        """Of the images, as the first convolution's kernel has it."""
        path = "patches/projection/kernel"
        if self.bit_resnet is not None:
            path = "root_convolution/kernel"
        source = self.weights[path]
        blank = np.broadcast_to(np.float32(0), shapes[source.names[0]])
        return source.convert(blank).shape[2]


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
