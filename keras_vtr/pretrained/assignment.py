"""Assigns the weights of a file to a model: all of them, or none."""

import dataclasses
import re

import numpy as np

from keras_vtr.pretrained.tensor_file import PretrainedError


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """Which weights were loaded.

    Args:
        origin: The file, and the family of its names.
        loaded: Paths of the model's weights that now have the file's values.
        missing: Paths of the model's weights that the file doesn't have: those
            of a new head, for example.
        unexpected: Names of the file's tensors that were not loaded.
        remarks: What was resized or assumed.
        license: Of the weights, and who says so; None if nobody does.
    """

    origin: str
    loaded: tuple
    missing: tuple
    unexpected: tuple
    remarks: tuple
    license: str | None = None

    def __str__(self):
        lines = [f"{self.origin}: {len(self.loaded)} weights loaded."]
        for title, names in (
            ("New, since the file has none that fit", self.missing),
            ("Left in the file", self.unexpected),
        ):
            if names:
                lines.append(f"  {title}: {_shortened(names)}.")
        if self.license:
            lines.append(f"  License: {self.license}.")
        return "\n".join([*lines, *(f"  {x}" for x in self.remarks)])


def _shortened(names, most=9):
    """Names; many that begin with the same word as "text_model.* (196)"."""
    groups = {}
    for name in names:
        word = re.match(r"[^./]*[./]?", name).group()
        groups.setdefault(word, []).append(name)
    return ", ".join(
        f"{word}* ({len(group)})" if len(group) > most else ", ".join(group)
        for word, group in groups.items()
    )


def assign_weights(model, pretrained, name_map, new=()):
    """Reads and checks everything before the first weight is changed.

    Args:
        model: The model to fill.
        pretrained: The `PretrainedWeights`.
        name_map: The `NameMap` for it.
        new: Prefixes of the paths of weights that are initialized instead of
            loaded.
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
        origin = name_map.weights[path]
        value = origin.convert(*(pretrained.read(x) for x in origin.names))
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
        tuple(dict.fromkeys(remarks)),  # each of them once
        pretrained.license or name_map.license,
    )


def _check_complete(model, pretrained, name_map, missing, wanted, new):
    known = {name for x in name_map.weights.values() for name in x.names}
    unplaced = wanted - {weight.path for weight in model.weights}
    unexpected = pretrained.shapes.keys() - known - set(name_map.unused)
    absent = known - pretrained.shapes.keys()
    not_new = [path for path in missing if not path.startswith(new)]
    problems = [
        (f"weights that only the model {model.name!r} has", not_new),
        ("weights that only the file has", unplaced),
        ("tensors that belong to no known weight", unexpected),
        ("tensors that the file must have and lacks", absent),
    ]
    text = "; ".join(
        f"{title}: {sorted(names)}" for title, names in problems if names
    )
    if text:
        raise PretrainedError(
            f"{pretrained} ({name_map.family}) doesn't fit. {text}. Nothing "
            f"was loaded.{_remedy(name_map, not_new)}"
        )


def _remedy(name_map, paths):
    is_head = any(x.startswith(name_map.heads + name_map.parts) for x in paths)
    return " `new_head=True` makes a new head." if is_head else ""


def _check_shape(model, weight, pretrained, name_map):
    """Compares shapes before any value is read.

    Returns:
        `NameMap.adapt`'s function and remark, or None.
    """
    origin = name_map.weights[weight.path]
    # Zeros of any shape without memory: all their strides are 0.
    blanks = [
        np.broadcast_to(np.float32(0), pretrained.shapes[name])
        for name in origin.names
    ]
    try:
        shape = origin.convert(*blanks).shape
    except ValueError as error:
        raise PretrainedError(
            f"{pretrained}: {weight.path} can't be made of {origin.names} with "
            f"the shapes {[x.shape for x in blanks]}: {error}"
        ) from error
    adapted = name_map.adapt(model, weight, shape)
    if adapted is None and shape != tuple(weight.shape):
        raise PretrainedError(
            f"{pretrained}: {', '.join(origin.names)} makes a weight of shape "
            f"{shape}; the model's {weight.path} has {tuple(weight.shape)}. "
            f"Nothing was loaded.{_remedy(name_map, [weight.path])}"
        )
    return adapted
