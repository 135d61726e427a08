"""Learning rates of a detector's backbone, and what of it is frozen."""

import re

import keras

from keras_vtr.layers import FeaturePyramid
from keras_vtr.optimizers.layerwise_decay import layerwise_factors
from keras_vtr.stages import ViT

# DETR's authors freeze these at their ImageNet weights.
FROZEN_LAYERS = ("stem_", "stage_0_")


def backbone_rates(model, learning_rate, layer_decay, depth_offset=0):
    """The paths of the backbone's trained weights, by their learning rate.

    Args:
        model: With a backbone that is a Keras model.
        learning_rate: Of its last layers; 0 freezes it.
        layer_decay: As `backbone_layer_decay` of `compile_detr`.
        depth_offset: How many times more the factor counts for each block.
    """
    if not learning_rate >= 0:
        raise ValueError(
            "`backbone_learning_rate` must be 0, which freezes it, or above. "
            f"Received: backbone_learning_rate={learning_rate}"
        )
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(
            "`backbone_layer_decay` must be in (0, 1], or None. Received: "
            f"backbone_layer_decay={layer_decay}"
        )
    backbone = next(
        (x for x in model.layers if isinstance(x, keras.Model)), None
    )
    if backbone is None:
        raise ValueError(
            "`model` must have a backbone that is a Keras model, as in "
            f"build_detr. Received: model={model.name!r}"
        )
    factor_of = _factor_of_paths(backbone, layer_decay, depth_offset)
    rates = {}
    for path in _freeze(backbone, model, learning_rate):
        rates.setdefault(factor_of(path) * learning_rate, []).append(path)
    return rates


def _freeze(backbone, model, learning_rate):
    """Freezes what isn't trained; returns the paths of the other weights."""
    new = [x for x in backbone.layers if isinstance(x, FeaturePyramid)]
    parts = [x for x in backbone.layers if x not in new] if new else [backbone]
    is_frozen = not any(part.trainable for part in parts)
    if learning_rate and is_frozen and _has_lora(backbone):
        raise ValueError(
            "A backbone with LoRA that was frozen as a whole can't be trained "
            "again, since that would train the kernels, too. Build it again "
            "and call `enable_lora`. Received: backbone_learning_rate="
            f"{learning_rate}"
        )
    # Only a change of the whole: what is frozen within it stays frozen.
    if is_frozen == (learning_rate > 0):
        for part in parts:
            part.trainable = learning_rate > 0
    for layer in backbone.layers:
        if layer.name.startswith(FROZEN_LAYERS):
            layer.trainable = False
    new = {id(variable) for layer in new for variable in layer.variables}
    paths = {
        variable.path
        for variable in backbone.trainable_variables
        if id(variable) not in new
    }
    inside = {id(variable) for variable in backbone.variables}
    shared = sorted(
        variable.path
        for variable in model.trainable_variables
        if id(variable) not in inside and variable.path in paths
    )
    if shared:
        raise ValueError(
            "Optimizers are chosen by the paths of weights, so the backbone "
            f"{backbone.name!r} must have paths of its own: rename its layers. "
            f"Received: {shared[:3]} inside and outside of it"
        )
    return sorted(paths)


def _has_lora(backbone):
    layers = backbone._flatten_layers()  # Keras 3.15 has no public way
    return any(getattr(layer, "lora_enabled", False) for layer in layers)


def _factor_of_paths(backbone, layer_decay, depth_offset):
    """A function from the path of a backbone's weight to its factor."""
    if layer_decay is None:
        return lambda path: 1.0
    prefix = f"{backbone.name}_"
    pattern = rf"^{re.escape(prefix)}{ViT.ENCODER}/block_(\d+)/"
    found = [re.match(pattern, x.path) for x in backbone.variables]
    numbers = [int(match[1]) for match in found if match]
    if not numbers:
        raise ValueError(
            "`backbone_layer_decay` needs a ViT as backbone, or one from "
            f"build_vit_backbone. Received: {backbone.name!r}"
        )
    num_layers = max(numbers) + 1 + depth_offset
    factors = layerwise_factors(num_layers, layer_decay)

    def factor_of(path):
        own = path.removeprefix(prefix)
        return next(x for pattern, x in factors if re.search(pattern, own))

    return factor_of
