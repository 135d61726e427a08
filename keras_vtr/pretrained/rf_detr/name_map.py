"""From the tensors of an RF-DETR to a model of `build_rf_detr`."""

import dataclasses

import keras

from keras_vtr.classifiers import SIGMOID
from keras_vtr.layers import C2fProjection
from keras_vtr.models import build_rf_detr
from keras_vtr.models import build_vit
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.name_map import resized_positions
from keras_vtr.stages import DETR
from keras_vtr.stages import ViT

BACKBONE = "backbone"
GROUPS = ("group_queries/", "group_selection_")
WINDOWS = ("num_windows", "feature_blocks", "global_blocks")
TABLES = ("object_queries/queries", "group_queries/queries")


@dataclasses.dataclass
class RfDetrNameMap(NameMap):
    """A `NameMap` of a model of `keras_vtr.models.build_rf_detr`.

    It makes new class heads and a new mask head, resizes positions and keeps
    the first queries. A model from `add_groups` gets the groups' weights, too.

    Args:
        vit: Arguments of `build_vit`, with `position_grid` and
            `position_interpolation`.
        num_groups: Of queries in the file. Further arguments as in `NameMap`.
    """

    vit: dict = dataclasses.field(default_factory=dict)
    num_groups: int = 1

    task = "detection"
    # Prefixes, of more groups than anybody trains.
    heads = (
        f"{DETR.CLASS_HEAD}/",
        f"{DETR.QUERY_SELECTION}/class_head/",
        *(f"group_selection_{i}/class_head/" for i in range(64)),
    )
    takes = ("masks", "num_queries")
    parts = (f"{DETR.MASK_HEAD}/", *GROUPS)

    def build(self, shapes, num_classes, image_shape, arguments):
        own, new = dict(self.arguments), ()
        if num_classes not in (None, own["num_classes"]):
            own |= {"num_classes": num_classes, "class_names": None}
            new = self.heads
        if arguments.pop("padding", None) is not None:
            raise PretrainedError(
                "`padding` must be None for an RF-DETR, whose images are "
                "stretched to one size, as `detection_dataset(image_sizes=...)`"
                " does."
            )
        if arguments.get("masks") and not own["masks"]:
            new += self.parts[:1]
        num_queries = arguments.get("num_queries") or 0
        if num_queries > own["num_queries"]:
            raise PretrainedError(
                f"`num_queries` must be {own['num_queries']} or less, as many "
                "queries as the file has. Received: "
                f"num_queries={num_queries}"
            )
        grid = self.vit["position_grid"]
        sides = (side * self.vit["patch_size"] for side in grid)
        image_shape = image_shape or own.get("image_shape") or (*sides, 3)
        own["image_shape"] = image_shape
        is_free = None in image_shape[:2]
        vit = {**self.vit, "position_grid": grid if is_free else None}
        projection = C2fProjection(
            own["hidden_dim"],
            layer_norm_epsilon=own.pop("projection_epsilon", 1e-6),
            name=DETR.INPUT_PROJECTION,
        )
        own |= {
            "vit": build_vit(0, image_shape=image_shape, **vit),
            "projection": projection,
        }
        return build_rf_detr(**{**own, **arguments}), new

    def adapt(self, model, weight, shape):
        if weight.path == f"{BACKBONE}_{ViT.POSITIONS}/position_embedding":
            layer = model.get_layer(BACKBONE)
            layer = layer.get_layer(weight.path.split("/")[0])
            return resized_positions(layer, weight, shape, self.vit)
        is_table = weight.path in TABLES or weight.path.endswith("/moves")
        if not is_table or shape[2] != weight.shape[2]:
            return None
        count, wanted = shape[1], weight.shape[1]
        if wanted == count:
            return None
        # The first queries of the first groups.
        of_file = self.arguments["num_queries"]
        num_queries = model.output["boxes"].shape[1]
        num_groups = wanted // num_queries
        if num_queries > of_file or num_groups > count // of_file:
            return None

        def cut(value):
            groups = value.reshape(-1, of_file, value.shape[-1])
            return groups[:num_groups, :num_queries].reshape(weight.shape)

        return cut, f"Of {count} rows of {weight.path} {wanted} were kept."

    def start(self, model, weight):
        """New class heads start as those of a new model."""
        value = keras.ops.convert_to_numpy(weight)
        if not weight.path.startswith(self.heads):
            return value
        start = keras.initializers.GlorotUniform()
        if weight.path.endswith("bias"):
            start = SIGMOID.bias_initializer()
        return keras.ops.convert_to_numpy(start(weight.shape))

    def wrong_settings(self, model):
        wrong = super().wrong_settings(model)
        names = [layer.name for layer in model.layers]
        if BACKBONE not in names or DETR.DECODER not in names:
            return [*wrong, "a model of build_rf_detr"]
        encoder = model.get_layer(BACKBONE)
        encoder = encoder.get_layer(f"{BACKBONE}_{ViT.ENCODER}")
        block = model.get_layer(DETR.DECODER).block
        found = {
            **{key: getattr(encoder, key, None) for key in WINDOWS},
            "vit.num_heads": _heads_of(encoder),
            "num_points": getattr(block.cross_attention, "num_points", None),
        }
        expected = {**self.arguments, "vit.num_heads": self.vit["num_heads"]}
        if expected["num_windows"] == 1:
            expected |= {"num_windows": None, "global_blocks": None}
        return wrong + [
            f"{key}={expected[key]!r}, not {value!r}"
            for key, value in found.items()
            if _plain(value) != _plain(expected[key])
        ]


def _heads_of(encoder):
    attention = getattr(encoder.block, "attention", None)
    return getattr(attention, "num_heads", None)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
