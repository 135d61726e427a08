"""Weights into a model: all of them, or none."""

import dataclasses

import numpy as np

from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of each weight.

    Args:
        origin: Where the file lies, and whose layout it has.
        loaded: Paths of our weights that hold the file's values now.
        missing: Paths of our weights that it has no values for: a new head.
        unexpected: Tensors of the file that our model has no use for.
        remarks: What was resized or assumed.
    """

    origin: str
    loaded: tuple
    missing: tuple
    unexpected: tuple
    remarks: tuple

    def __str__(self):
        lines = [f"{self.origin}: {len(self.loaded)} weights loaded."]
        for title, names in (
            ("New, since the file has none that fit", self.missing),
            ("Left in the file", self.unexpected),
        ):
            if names:
                lines.append(f"  {title}: {', '.join(names)}.")
        return "\n".join([*lines, *(f"  {x}" for x in self.remarks)])


def assign_weights(model, pretrained, name_map, new=()):
    """Reads and checks everything before the first weight is changed.

    Args:
        model: The model to fill.
        pretrained: The `PretrainedWeights`.
        name_map: The `NameMap` for it.
        new: Beginnings of the paths of our weights that begin anew.
    """
    paths = [weight.path for weight in model.weights]
    left = {
        path
        for path in name_map.weights
        if path.startswith(new) or name_map.may_lack(path, paths, new)
    }
    wanted = name_map.weights.keys() - left
    missing = [path for path in paths if path not in wanted]
    _check_complete(model, pretrained, name_map, missing, wanted, new)
    adapters, remarks = {}, [*pretrained.remarks, *name_map.remarks]
    for weight in model.weights:
        if weight.path not in missing:
            adapted = _check_shape(model, weight, pretrained, name_map)
            if adapted is not None:
                adapters[weight.path], remark = adapted
                remarks.append(remark)
    values = {}
    for path, weight in zip(paths, model.weights, strict=True):
        if path in missing:
            values[path] = name_map.start(model, weight)
            continue
        tensors = name_map.weights[path]
        value = tensors.convert(*(pretrained.read(x) for x in tensors.names))
        values[path] = adapters[path](value) if path in adapters else value
    for path, weight in zip(paths, model.weights, strict=True):
        weight.assign(values[path])
    loaded = tuple(path for path in paths if path not in missing)
    used = {name for path in loaded for name in name_map.weights[path].names}
    return LoadReport(
        f"{pretrained} ({name_map.family})",
        loaded,
        tuple(missing),
        tuple(name for name in pretrained.shapes if name not in used),
        tuple(remarks),
    )


def _check_complete(model, pretrained, name_map, missing, wanted, new):
    known = {name for x in name_map.weights.values() for name in x.names}
    unplaced = wanted - {weight.path for weight in model.weights}
    unexpected = pretrained.shapes.keys() - known - set(name_map.unused)
    absent = known - pretrained.shapes.keys()
    not_new = [path for path in missing if not path.startswith(new)]
    if not (unexpected or absent or not_new or unplaced):
        return
    problems = [
        (f"the model {model.name!r} has and the file hasn't", not_new),
        ("the file has and the model hasn't a place for", unplaced),
        ("tensors that belong to no known part", unexpected),
        ("tensors that every file of its kind has", absent),
    ]
    text = "; ".join(
        f"{title}: {sorted(names)}" for title, names in problems if names
    )
    raise PretrainedError(
        f"{pretrained} ({name_map.family}) doesn't fit. {text}. Nothing was "
        f"loaded.{_mend(name_map, not_new)}"
    )


def _mend(name_map, paths):
    is_head = any(x.startswith(name_map.heads + name_map.parts) for x in paths)
    return " `new_head=True` makes a new head." if is_head else ""


def _check_shape(model, weight, pretrained, name_map):
    """Compares shapes before any value is read. Returns how to adapt it.

    A table of positions may be for another grid though its shape is the same.
    """
    tensors = name_map.weights[weight.path]
    # Zeros of any shape without memory: all their strides are 0.
    blanks = [
        np.broadcast_to(np.float32(0), pretrained.shapes[name])
        for name in tensors.names
    ]
    try:
        shape = tensors.convert(*blanks).shape
    except ValueError as error:
        raise PretrainedError(
            f"{pretrained}: the shapes of {tensors.names}, "
            f"{[x.shape for x in blanks]}, fit no {weight.path}: {error}"
        ) from error
    adapted = name_map.adapt(model, weight, shape)
    if adapted is None and shape != tuple(weight.shape):
        raise PretrainedError(
            f"{pretrained}: {', '.join(tensors.names)} makes a weight of shape "
            f"{shape}; the model's {weight.path} has {tuple(weight.shape)}. "
            f"Nothing was loaded.{_mend(name_map, [weight.path])}"
        )
    return adapted
