"""Weights into a model: all of them, or none."""

import dataclasses

import keras
import numpy as np

from keras_vtr.checkpoints.tensor_file import CheckpointError
from keras_vtr.layers.interpolation import resize_grid

HEADS = ("head/", "distillation_head/")
POSITIONS = "positions/position_embedding"


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of each weight.

    Args:
        source: Where the checkpoint lies, and whose layout it has.
        loaded: Paths of our weights that hold the checkpoint's values now.
        missing: Paths of our weights that it has no values for: a new head.
        unexpected: Tensors of the checkpoint that our model has no use for.
        remarks: What was resized or assumed.
    """

    source: str
    loaded: tuple
    missing: tuple
    unexpected: tuple
    remarks: tuple

    def __str__(self):
        lines = [f"{self.source}: {len(self.loaded)} weights loaded."]
        for title, names in (
            ("New, since the checkpoint has none that fit", self.missing),
            ("Left in the checkpoint", self.unexpected),
        ):
            if names:
                lines.append(f"  {title}: {', '.join(names)}.")
        return "\n".join([*lines, *(f"  {x}" for x in self.remarks)])


def check_settings(model, checkpoint, recipe):
    """Refuses a model that would compute something else with the weights.

    Numbers of heads, activations and the like show in no weight's shape.
    """
    expected = recipe.arguments
    names = [layer.name for layer in model.layers]
    wrong = []
    if "encoder" in names:
        encoder = model.get_layer("encoder")
        for key in ("num_heads", "activation", "layer_norm_epsilon"):
            value = expected.get(key)
            if value is not None and value != getattr(encoder, key):
                wrong.append(f"{key}={value!r}, not {getattr(encoder, key)!r}")
    if "normalize_pixels" in names and not recipe.remarks:
        layer = model.get_layer("normalize_pixels")
        mean, deviation = (
            np.broadcast_to(expected[key], (len(layer.scale),))
            for key in ("pixel_mean", "pixel_deviation")
        )
        same = np.allclose(layer.scale, 1 / deviation) and np.allclose(
            layer.offset, -mean / deviation, atol=1e-6
        )
        if not same:
            wrong.append(
                f"pixel_mean={expected['pixel_mean']}, "
                f"pixel_deviation={expected['pixel_deviation']}"
            )
    if wrong:
        raise CheckpointError(
            f"{checkpoint} ({recipe.family}) was trained with "
            f"{'; '.join(wrong)}. Build {model.name!r} so; nothing was loaded."
        )


def assign_weights(model, checkpoint, recipe, new_head):
    """Reads and checks everything before the first weight is changed."""
    paths = [weight.path for weight in model.weights]
    left = {
        path
        for path in recipe.weights
        if path.startswith(HEADS) and (new_head or path not in paths)
    }
    wanted = recipe.weights.keys() - left
    missing = [path for path in paths if path not in wanted]
    unplaced = wanted - set(paths)
    _check_complete(model, checkpoint, recipe, missing, unplaced, new_head)
    remarks = list(recipe.remarks)
    has_grid = any(
        layer.name == "positions" and getattr(layer, "grid", None)
        for layer in model.layers
    )
    for weight in model.weights:
        if weight.path not in missing:
            source = recipe.weights[weight.path]
            remarks += _check_shape(
                weight, source, checkpoint, recipe, has_grid
            )
    values = {
        path: np.zeros(weight.shape, "float32")
        if path in missing
        else _value(model, weight, checkpoint, recipe)
        for path, weight in zip(paths, model.weights, strict=True)
    }
    for path, weight in zip(paths, model.weights, strict=True):
        weight.assign(values[path])
    used = {
        name
        for path in paths
        if path not in missing
        for name in recipe.weights[path].names
    }
    return LoadReport(
        f"{checkpoint} ({recipe.family})",
        tuple(path for path in paths if path not in missing),
        tuple(missing),
        tuple(name for name in checkpoint.shapes if name not in used),
        tuple(remarks),
    )


def _check_complete(model, checkpoint, recipe, missing, unplaced, new_head):
    known = {name for x in recipe.weights.values() for name in x.names}
    unexpected = checkpoint.shapes.keys() - known - set(recipe.unused)
    absent = known - checkpoint.shapes.keys()
    not_new = [
        path for path in missing if not (new_head and path.startswith(HEADS))
    ]
    if not (unexpected or absent or not_new or unplaced):
        return
    problems = [
        (f"the model {model.name!r} has and the checkpoint hasn't", not_new),
        ("the checkpoint has and the model hasn't a place for", unplaced),
        ("tensors that belong to no known part", unexpected),
        ("tensors that every checkpoint of its kind has", absent),
    ]
    text = "; ".join(
        f"{title}: {sorted(names)}" for title, names in problems if names
    )
    raise CheckpointError(
        f"{checkpoint} ({recipe.family}) doesn't fit. {text}. Nothing was "
        f"loaded.{_mend(not_new)}"
    )


def _mend(paths):
    is_head = any(path.startswith(HEADS) for path in paths)
    return " `new_head=True` makes a new head." if is_head else ""


def _check_shape(weight, source, checkpoint, recipe, has_grid):
    """Compares shapes before any value is read. Returns remarks."""
    # Zeros of any shape without memory: all their strides are 0.
    blanks = [
        np.broadcast_to(np.float32(0), checkpoint.shapes[name])
        for name in source.names
    ]
    try:
        shape = source.convert(*blanks).shape
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint}: the shapes of {source.names}, "
            f"{[x.shape for x in blanks]}, fit no {weight.path}: {error}"
        ) from error
    if shape == tuple(weight.shape):
        return []
    is_position = weight.path == POSITIONS and has_grid
    if is_position and shape[-1] == weight.shape[-1]:
        return [
            f"Positions were resized from {shape[1]} to {weight.shape[1]} "
            f"({recipe.arguments['position_interpolation']})."
        ]
    raise CheckpointError(
        f"{checkpoint}: {', '.join(source.names)} makes a weight of shape "
        f"{shape}; the model's {weight.path} has {tuple(weight.shape)}. "
        f"Nothing was loaded.{_mend([weight.path])}"
    )


def _value(model, weight, checkpoint, recipe):
    source = recipe.weights[weight.path]
    value = source.convert(*(checkpoint.read(name) for name in source.names))
    if value.shape == tuple(weight.shape):
        return value
    layer = model.get_layer("positions")
    num_leading = layer.num_leading_tokens
    grid = recipe.arguments["position_grid"]
    rest = value[0, num_leading:].reshape(*grid, -1)
    rest = resize_grid(
        rest, layer.grid, recipe.arguments["position_interpolation"]
    )
    rest = keras.ops.convert_to_numpy(rest).reshape(1, -1, value.shape[-1])
    return np.concatenate([value[:, :num_leading], rest], axis=1)
