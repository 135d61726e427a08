"""Weights into a model: all of them, or none."""

import dataclasses

import numpy as np

from keras_vtr.checkpoints.tensor_file import CheckpointError


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


def assign_weights(model, checkpoint, recipe, new=()):
    """Reads and checks everything before the first weight is changed.

    Args:
        model: The model to fill.
        checkpoint: The `Checkpoint`.
        recipe: The `Recipe` for it.
        new: Beginnings of the paths of our weights that begin anew.
    """
    paths = [weight.path for weight in model.weights]
    left = {
        path
        for path in recipe.weights
        if path.startswith(new) or recipe.may_lack(path, paths, new)
    }
    wanted = recipe.weights.keys() - left
    missing = [path for path in paths if path not in wanted]
    _check_complete(model, checkpoint, recipe, missing, wanted, new)
    adapters, remarks = {}, [*checkpoint.remarks, *recipe.remarks]
    for weight in model.weights:
        if weight.path not in missing:
            adapted = _check_shape(model, weight, checkpoint, recipe)
            if adapted is not None:
                adapters[weight.path], remark = adapted
                remarks.append(remark)
    values = {}
    for path, weight in zip(paths, model.weights, strict=True):
        if path in missing:
            values[path] = recipe.start(model, weight)
            continue
        source = recipe.weights[path]
        value = source.convert(*(checkpoint.read(x) for x in source.names))
        values[path] = adapters[path](value) if path in adapters else value
    for path, weight in zip(paths, model.weights, strict=True):
        weight.assign(values[path])
    loaded = tuple(path for path in paths if path not in missing)
    used = {name for path in loaded for name in recipe.weights[path].names}
    return LoadReport(
        f"{checkpoint} ({recipe.family})",
        loaded,
        tuple(missing),
        tuple(name for name in checkpoint.shapes if name not in used),
        tuple(remarks),
    )


def _check_complete(model, checkpoint, recipe, missing, wanted, new):
    known = {name for x in recipe.weights.values() for name in x.names}
    unplaced = wanted - {weight.path for weight in model.weights}
    unexpected = checkpoint.shapes.keys() - known - set(recipe.unused)
    absent = known - checkpoint.shapes.keys()
    not_new = [path for path in missing if not path.startswith(new)]
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
        f"loaded.{_mend(recipe, not_new)}"
    )


def _mend(recipe, paths):
    is_head = any(x.startswith(recipe.heads + recipe.parts) for x in paths)
    return " `new_head=True` makes a new head." if is_head else ""


def _check_shape(model, weight, checkpoint, recipe):
    """Compares shapes before any value is read. Returns how to adapt it.

    A table of positions may be for another grid though its shape is the same.
    """
    source = recipe.weights[weight.path]
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
    adapted = recipe.adapt(model, weight, shape)
    if adapted is None and shape != tuple(weight.shape):
        raise CheckpointError(
            f"{checkpoint}: {', '.join(source.names)} makes a weight of shape "
            f"{shape}; the model's {weight.path} has {tuple(weight.shape)}. "
            f"Nothing was loaded.{_mend(recipe, [weight.path])}"
        )
    return adapted
