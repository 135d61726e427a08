"""From the tensors of a YOLOS to a model of `build_yolos`."""

import dataclasses

import numpy as np

from keras_vtr.models import build_vit
from keras_vtr.models import build_yolos
from keras_vtr.pretrained.detr.name_map import start_of_class_head
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.name_map import wrong_block_settings
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.name_map import resized_positions
from keras_vtr.stages import YOLOS
from keras_vtr.stages import ViT

ENCODER = f"{YOLOS.VIT}_{ViT.ENCODER}"
POSITIONS = f"{YOLOS.VIT}_{ViT.POSITIONS}"
# What the user may give `from_pretrained`; the rest is the ViT's.
OWN = ("padding", "num_queries", "class_names", "name")


@dataclasses.dataclass
class YolosNameMap(NameMap):
    """A `NameMap` of a model of `keras_vtr.models.build_yolos`.

    It makes a new class head, keeps the first queries and resizes positions.
    `arguments` need `num_classes`, `num_queries`, `positions_between_blocks`,
    `pixel_mean` and `pixel_std`.

    Args:
        vit: Arguments of `build_vit`, with `position_grid` and
            `position_interpolation`. Further arguments as in `NameMap`.
    """

    vit: dict = dataclasses.field(default_factory=dict)

    task = "detection"
    takes = ("padding", "num_queries")  # it has no feature map for masks
    heads = (f"{YOLOS.CLASS_HEAD}/",)

    def build(self, shapes, num_classes, image_shape, arguments):
        own, new = dict(self.arguments), ()
        if num_classes not in (None, own["num_classes"]):
            own |= {"num_classes": num_classes, "class_names": None}
            new = self.heads
        pixels = {key: own.pop(key) for key in ("pixel_mean", "pixel_std")}
        own |= {key: arguments.pop(key) for key in OWN if key in arguments}
        if own["num_queries"] > self.arguments["num_queries"]:
            raise PretrainedError(
                f"`num_queries` must be {self.arguments['num_queries']} or "
                "less, as many queries as the file has. Received: "
                f"num_queries={own['num_queries']}"
            )
        image_shape = tuple(image_shape or (None, None, 3))
        vit = {**self.vit, **pixels, **arguments}
        if None not in image_shape[:2]:  # resized once, when they are loaded
            patch_size = vit["patch_size"]
            vit["position_grid"] = tuple(
                -(-side // patch_size) for side in image_shape[:2]
            )
        vit = build_vit(0, image_shape=(None, None, image_shape[2]), **vit)
        return build_yolos(vit=vit, image_shape=image_shape, **own), new

    def adapt(self, model, weight, shape):
        inside = model.get_layer(YOLOS.VIT)
        if weight.path == f"{POSITIONS}/position_embedding":
            layer = inside.get_layer(POSITIONS)
            return resized_positions(layer, weight, shape, self.vit)
        encoder = inside.get_layer(ENCODER)
        surplus = self.arguments["num_queries"] - encoder.num_queries
        remark = f"Of the queries the first {encoder.num_queries} were kept."
        if weight.path == f"{ENCODER}/queries" and surplus > 0:
            return lambda value: value[:, : encoder.num_queries], remark
        for layer in encoder.positions:
            if weight.path == f"{ENCODER}/{layer.name}/position_embedding":
                return self._between_blocks(
                    layer, weight, shape, surplus, remark
                )
        return None

    def _between_blocks(self, layer, weight, shape, surplus, remark):
        """A table has rows of class tokens, queries and patches."""
        first = layer.num_leading_tokens
        shape = (shape[0], shape[1] - surplus, shape[2])
        resized = resized_positions(layer, weight, shape, self.vit)
        if resized is None and surplus <= 0:
            return None
        resize, remark = resized or (lambda table: table, remark)

        def adapted(table):
            parts = [table[:, :first], table[:, first + surplus :]]
            return resize(np.concatenate(parts, axis=1))

        return adapted, remark

    def start(self, model, weight):
        value = super().start(model, weight)
        if weight.path.startswith(self.heads):
            value = start_of_class_head(weight, value)
        return value

    def wrong_settings(self, model):
        wrong = super().wrong_settings(model)
        for inside in model.layers:
            names = [x.name for x in getattr(inside, "layers", ())]
            if ENCODER in names:
                block = inside.get_layer(ENCODER).block
                wrong += wrong_block_settings(block, self.vit)
        return wrong
