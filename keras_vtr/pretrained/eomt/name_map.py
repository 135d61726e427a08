"""From the tensors of an EoMT to a model of `build_eomt`."""

import dataclasses

from keras_vtr.models import build_eomt
from keras_vtr.models import build_vit
from keras_vtr.pretrained.detr.name_map import start_of_class_head
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.name_map import resized_positions
from keras_vtr.stages import DETR
from keras_vtr.stages import ViT

BACKBONE = "vit"
STEP = "vit_encoder/step"  # of the annealing, in no file
# What the user may give `from_pretrained`; the rest is the ViT's.
OWN = ("mask_steps", "class_names", "name")


@dataclasses.dataclass
class EomtNameMap(NameMap):
    """A `NameMap` of a model of `keras_vtr.models.build_eomt`.

    It makes a new class head and resizes positions. `arguments` need
    `num_classes`, `num_queries`, `num_query_blocks`, `pixel_mean` and
    `pixel_std`.

    Args:
        vit: Arguments of `build_vit`, with `position_grid` and
            `position_interpolation`. Further arguments as in `NameMap`.
    """

    vit: dict = dataclasses.field(default_factory=dict)

    task = "segmentation"
    heads = (f"{DETR.CLASS_HEAD}/",)

    def build(self, shapes, num_classes, image_shape, arguments):
        own, new = dict(self.arguments), ()
        if num_classes not in (None, own["num_classes"]):
            own |= {"num_classes": num_classes, "class_names": None}
            new = self.heads
        pixels = {key: own.pop(key) for key in ("pixel_mean", "pixel_std")}
        own |= {key: arguments.pop(key) for key in OWN if key in arguments}
        if own.get("mask_steps") is not None:
            new += (STEP,)
        vit = {**self.vit, **pixels, **arguments}
        if image_shape is None:
            sides = (x * vit["patch_size"] for x in vit["position_grid"])
            image_shape = (*sides, 3)
        if None in image_shape[:2]:
            raise PretrainedError(
                "`image_shape` must have a height and a width. Received: "
                f"image_shape={image_shape}"
            )
        vit = {**vit, "position_grid": None, "image_shape": image_shape}
        return build_eomt(vit=build_vit(0, **vit), **own), new

    def adapt(self, model, weight, shape):
        if weight.path != f"{BACKBONE}_{ViT.POSITIONS}/position_embedding":
            return None
        layer = model.get_layer(BACKBONE).get_layer(weight.path.split("/")[0])
        return resized_positions(layer, weight, shape, self.vit)

    def start(self, model, weight):
        value = super().start(model, weight)
        if weight.path.startswith(self.heads):
            value = start_of_class_head(weight, value)
        return value
