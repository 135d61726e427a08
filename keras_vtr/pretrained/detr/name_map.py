"""From the tensors of a DETR, of any project, to a model of `build_detr`."""

import dataclasses
import math
import re

import keras
import numpy as np

from keras_vtr.backbones import build_resnet
from keras_vtr.classifiers import SIGMOID
from keras_vtr.classifiers import classifier_of
from keras_vtr.models import build_detr
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.stages import DETR

ASSUMED_HEADS = 8  # as in all models of the paper


@dataclasses.dataclass
class DetrNameMap(NameMap):
    """A `NameMap` of a model of `keras_vtr.models.build_detr`.

    It makes a new class head and mask head, and keeps the first queries.
    `arguments` need `num_classes` (None without class head), `num_queries`,
    `num_heads` (None if unknown), `masks` and `normalize_first`.

    Args:
        resnet: Arguments of `keras_vtr.backbones.build_resnet`, with
            `dilation` (None if unknown). Further arguments as in `NameMap`.
    """

    resnet: dict = dataclasses.field(default_factory=dict)

    task = "detection"
    heads = (f"{DETR.CLASS_HEAD}/",)
    parts = (f"{DETR.MASK_HEAD}/",)

    def build(self, shapes, num_classes, image_shape, arguments):
        own = dict(self.arguments)
        own["num_heads"] = own["num_heads"] or ASSUMED_HEADS
        dilation = arguments.pop("dilation", bool(self.resnet["dilation"]))
        if own["num_classes"] is num_classes is None:
            raise PretrainedError(
                "The file has no class head. Give `num_classes` for a new one."
            )
        new = ()
        if num_classes not in (None, own["num_classes"]):
            own |= {"num_classes": num_classes, "class_names": None}
            new = self.heads
        arguments = {**own, **arguments}
        if arguments["num_queries"] > own["num_queries"]:
            raise PretrainedError(
                f"`num_queries` must be {own['num_queries']} or less, as many "
                "queries as the file has. Received: "
                f"num_queries={arguments['num_queries']}"
            )
        if arguments["masks"] and not own["masks"]:
            new += self.parts
        image_shape = image_shape or (None, None, 3)
        arguments.setdefault(
            "backbone",
            build_resnet(
                image_shape,
                **{**self.resnet, "dilation": dilation},
                padding_mask=arguments.get("padding") == "exact",
            ),
        )
        return build_detr(image_shape=image_shape, **arguments), new

    def adapt(self, model, weight, shape):
        num_queries = weight.shape[1] if len(weight.shape) == 3 else 0
        is_cut = (
            weight.path == f"{DETR.OBJECT_QUERIES}/queries"
            and shape[2] == weight.shape[2]
            and shape[1] > num_queries
        )
        if not is_cut:
            return None
        remark = f"Of {shape[1]} queries the first {num_queries} were kept."
        return lambda value: value[:, :num_queries], remark

    def start(self, model, weight):
        """Only a new class head doesn't keep its initial values."""
        value = keras.ops.convert_to_numpy(weight)
        has_no_object = classifier_of(model.output).has_no_object
        if weight.path.startswith(self.heads) and has_no_object:
            value = start_of_class_head(weight, np.zeros_like(value))
        return value

    def wrong_settings(self, model):
        wrong = super().wrong_settings(model)
        if isinstance(model.output, dict) and SIGMOID.key in model.output:
            wrong.append("classifier='softmax'")
        names = [layer.name for layer in model.layers]
        if DETR.ENCODER in names:
            expected = self.arguments["normalize_first"]
            block = getattr(model.get_layer(DETR.ENCODER), "block", None)
            if getattr(block, "normalize_first", None) != expected:
                wrong.append(f"normalize_first={expected}")
        dilation = self.resnet["dilation"]
        if dilation is not None and _dilation(model) not in (None, dilation):
            wrong.append(f"dilation={dilation} (DC5) in the backbone")
        return wrong


def start_of_class_head(weight, value):
    """Zeros, with which "no object" is as likely as all classes together."""
    if weight.path.endswith("bias"):
        value[-1] = math.log(len(value) - 1)
    return value


def _dilation(model):
    """Whether the ResNet of a DETR is dilated; None if it has no ResNet."""
    for backbone in model.layers:
        if isinstance(backbone, keras.Model):
            found = [
                layer
                for layer in backbone.layers
                if re.search(r"_block_0_convolution_\d$", layer.name)
            ]
            if found:  # of the last stage, one has the stride
                stage = found[-1].name.split("_block_")[0]
                last = [x for x in found if x.name.startswith(f"{stage}_")]
                return all(layer.strides == 1 for layer in last)
    return None
