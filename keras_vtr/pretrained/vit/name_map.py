"""From the tensors of a ViT, of any project, to a model of `build_vit`."""

import dataclasses
import math

import keras
import numpy as np

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.layers.positions.interpolation import resize_grid
from keras_vtr.models import build_vit
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.patch_resizing import KERNEL
from keras_vtr.pretrained.vit.patch_resizing import resized_patches
from keras_vtr.stages import ViT


@dataclasses.dataclass
class VitNameMap(NameMap):
    """A `NameMap` of a model of `keras_vtr.models.build_vit`.

    It resizes positions and patches and makes a new head. `arguments` need
    `num_classes`, `patch_size` and `hidden_dim`; with positions also
    `position_grid` and `position_interpolation`, which is how the project
    resizes them.

    Args:
        bit_resnet: Arguments of `keras_vtr.backbones.build_bit_resnet`, the
            hybrid's backbone, or None. Further arguments as in `NameMap`.
    """

    bit_resnet: dict | None = None

    task = "classification"
    heads = (f"{ViT.HEAD}/", f"{ViT.DISTILLATION_HEAD}/")
    parts = (f"{ViT.REPRESENTATION}/",)

    def build(self, shapes, num_classes, image_shape, arguments):
        new = self._new_parts(num_classes, arguments)
        arguments = {**self.arguments, **arguments}
        if num_classes is not None:
            arguments["num_classes"] = num_classes
        if num_classes == 0:
            arguments["distilled"] = False
        if arguments.get("num_heads") is None:
            raise PretrainedError(
                "The tensors don't show the number of heads, and "
                f"hidden_dim={arguments['hidden_dim']} is in no paper's table. "
                "Give `num_heads`."
            )
        grid = arguments.get("position_grid", (14, 14))
        if image_shape is None:
            patch_size = self.arguments["patch_size"]
            stride = token_stride(patch_size, self.bit_resnet)
            sides = (side * stride for side in grid)
            image_shape = (*sides, self._num_channels(shapes))
        if None not in image_shape[:2]:
            arguments.pop("position_grid", None)  # computed from image_shape
        own_names = self.arguments.get("class_names")
        if arguments["num_classes"] != self.arguments["num_classes"]:
            if arguments.get("class_names") is own_names:
                arguments["class_names"] = None  # of other classes
        if self.bit_resnet is not None:
            arguments["backbone"] = build_bit_resnet(
                image_shape, **self.bit_resnet
            )
        return build_vit(image_shape=image_shape, **arguments), new

    def _new_parts(self, num_classes, arguments):
        """Prefixes of new paths; sets `representation_dim` in `arguments`.

        The representation layer is removed together with the head of
        pre-training, as in Google's and transformers' classifiers, unless
        `representation_dim` is given.
        """
        own_classes = self.arguments["num_classes"]
        own_dim = self.arguments.get("representation_dim")
        is_new = num_classes not in (None, own_classes)
        default = None if is_new and num_classes else own_dim
        dim = arguments.setdefault("representation_dim", default)
        if dim != own_dim and own_classes and not is_new:
            raise PretrainedError(
                f"`representation_dim` must be {own_dim}, the width that the "
                "file's head reads. Give another `num_classes` for a new "
                f"head. Received: representation_dim={dim}"
            )
        new = self.heads if is_new else ()
        return new if dim in (None, own_dim) else new + self.parts

    def may_lack(self, path, paths, new):
        """A loaded head needs the layers before it; a new one may do without
        them."""
        before = (*self.parts, f"{ViT.POOLING}/")
        if path.startswith(before) and path not in paths:
            return "head/kernel" not in paths or "head/".startswith(new)
        return super().may_lack(path, paths, new)

    def start(self, model, weight):
        """A new representation layer keeps its initial values."""
        if weight.path.startswith(self.parts):
            return keras.ops.convert_to_numpy(weight)
        return super().start(model, weight)

    def adapt(self, model, weight, shape):
        if weight.path == KERNEL:
            return resized_patches(weight, shape)
        if weight.path != f"{ViT.POSITIONS}/position_embedding":
            return None
        layer = model.get_layer(ViT.POSITIONS)
        return resized_positions(layer, weight, shape, self.arguments)

    def _num_channels(self, shapes):
        """Of the images, from the first convolution's kernel."""
        path = "patches/projection/kernel"
        if self.bit_resnet is not None:
            path = "root_convolution/kernel"
        origin = self.weights[path]
        blank = np.broadcast_to(np.float32(0), shapes[origin.names[0]])
        return origin.convert(blank).shape[2]


def resized_positions(layer, weight, shape, arguments):
    """What `NameMap.adapt` returns for the positions of a ViT.

    Args:
        layer: The ViT's layer of positions.
        weight: Its table.
        shape: Of the file's table, (1, leading + rows * columns, D).
        arguments: With the file's `position_grid` and
            `position_interpolation`.
    """
    if shape[-1] != weight.shape[-1]:
        return None
    new_grid = getattr(layer, "grid", None)
    grid = arguments["position_grid"]
    num_leading = getattr(layer, "num_leading_tokens", 0)
    is_whole = shape[1] == num_leading + math.prod(grid)
    if not new_grid or tuple(new_grid) == grid or not is_whole:
        return None
    interpolation = arguments["position_interpolation"]

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


def token_stride(patch_size, bit_resnet=None):
    """Pixels from one token to the next."""
    if bit_resnet is None:
        return patch_size
    num_stages = len(bit_resnet["num_units"])
    return patch_size * 4 * 2 ** max(num_stages - 1, 0)


def grid_of_sides(sides, patch_size, bit_resnet):
    """(rows, columns) of tokens of an image of this size; None if unknown."""
    stride = token_stride(patch_size, bit_resnet)
    return sides and tuple(side // stride for side in sides)


def read_tokens(shapes, class_tokens, registers):
    """Class and distillation tokens, and registers.

    Args:
        shapes: Dict of tensor name to shape.
        class_tokens: Names that the file may have, in our order.
        registers: Name that the file may have.

    Returns:
        Arguments of `build_vit`, and weights.
    """
    names = tuple(name for name in class_tokens if name in shapes)
    arguments = {
        "num_class_tokens": len(names),
        "num_register_tokens": shapes.get(registers, (1, 0))[1],
    }
    weights = {}
    if names:
        weights["class_token/class_token"] = FromTensors(
            names, lambda *x: np.concatenate(x, axis=1)
        )
    if arguments["num_register_tokens"]:
        weights["register_tokens/class_token"] = FromTensors((registers,))
    return arguments, weights
