"""Files of a checkpoint: written atomically, verified when read."""

import hashlib
import json
import re
import warnings

import filelock
import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from safetensors.numpy import save_file

from keras_vtr.atomic_folder import remove_folder
from keras_vtr.atomic_folder import write_folder
from keras_vtr.json_text import json_text
from keras_vtr.version import __version__

# Groups of variables; "scale" is the loss scale of a `LossScaleOptimizer`.
STEP_GROUPS = ("model", "optimizer", "scale")
STATE, MANIFEST, SUMS = "state.safetensors", "manifest.json", "SHA256SUMS"


class CheckpointError(Exception):
    """Training can't resume from a checkpoint; the message gives the reason."""


def lock_folder(folder):
    """Creates the folder and locks it; `CheckpointError` if another has."""
    folder.mkdir(parents=True, exist_ok=True)
    # One lock per process, so that a notebook cell can run again.
    lock = filelock.FileLock(folder.resolve() / "lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise CheckpointError(
            f"Another process uses {folder}. Wait for it, or train in another "
            "folder."
        ) from None
    return lock


def write_checkpoint(folder, model, manifest, groups):
    """Writes `folder/step-<number>`, in place of one of the same name.

    Args:
        folder: `pathlib.Path` of the run.
        model: A compiled model whose optimizer is built.
        manifest: Dict with "num_steps", "epoch", "steps_in_epoch", and
            "value", the monitored number or None; and after `note_best` of
            the best epoch "best_value" and "best_epoch".
        groups: Groups of variables to write: `STEP_GROUPS` and "metrics".
    """
    versions = {"keras": keras.version(), "keras_vtr": __version__}
    manifest = {**manifest, "versions": versions}
    name = f"step-{manifest['num_steps']:09d}"
    if manifest["steps_in_epoch"] == 0:
        name = f"{name}-end"  # of an epoch

    def write(path):
        state = {
            key: np.array(keras.ops.convert_to_numpy(variable), order="C")
            for key, variable in variables_of(model, groups).items()
        }
        try:
            save_file(state, path / STATE)
        except SafetensorError as error:  # for example, a full disk
            raise OSError(str(error)) from error
        (path / MANIFEST).write_text(json_text(manifest))
        (path / SUMS).write_text(_sums(path))

    if (folder / name).exists():  # damaged, or training would be past it
        remove_folder(folder / name)
    return write_folder(folder, name, write)


def read_manifest(path):
    """Reads a manifest; `CheckpointError` if a byte is missing or changed."""
    try:
        is_intact = (path / SUMS).read_text() == _sums(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not is_intact:
        raise CheckpointError(f"{path} is damaged: {SUMS} doesn't match it.")
    return json.loads((path / MANIFEST).read_text())


def whole_checkpoints(folder):
    """Yields paths and manifests of undamaged checkpoints, newest first."""
    for path in _sorted_paths(folder):
        try:
            yield path, read_manifest(path)
        except CheckpointError as error:
            warnings.warn(f"Not used: {error}", RuntimeWarning, stacklevel=2)


def best_checkpoint(folder, mode="max"):
    """Path and manifest with the best value, or None if none has a value."""
    sign = {"max": 1, "min": -1}[mode]
    candidates = [
        (sign * manifest["value"], manifest["num_steps"], path, manifest)
        for path, manifest in whole_checkpoints(folder)
        if manifest["value"] is not None
    ]
    return max(candidates)[2:] if candidates else None


def note_best(manifest, mode):
    """Notes an epoch whose value is better than those before."""
    value, best = manifest["value"], manifest.get("best_value")
    sign = {"max": 1, "min": -1}[mode]
    if value is not None and (best is None or sign * value > sign * best):
        manifest |= {"best_value": value, "best_epoch": manifest["epoch"]}


def remove_old(folder, keep, mode):
    """Removes all but the newest `keep` and the best, without verifying."""
    sign, values = {"max": 1, "min": -1}[mode], {}
    paths = _sorted_paths(folder)
    for path in paths:
        try:
            value = json.loads((path / MANIFEST).read_text())["value"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if value is not None:
            values[path] = sign * value
    best = max(values, key=lambda x: (values[x], _order(x)), default=None)
    for path in paths[keep:]:
        if path != best:
            remove_folder(path)


def load_state(path, model, groups):
    """Assigns a checkpoint to a model's variables: all of them or none.

    Raises `CheckpointError` if the variables differ in number or shape. A loss
    scale is ignored if either side lacks it: `SkipNonFinite` adds one, and may
    be used in one run and not in the next.
    """
    state = load((path / STATE).read_bytes())
    wanted = variables_of(model, groups)
    kinds = {*map(_group, wanted)}, {*map(_group, state)}
    groups = [x for x in groups if x != "scale" or all(x in k for k in kinds)]
    wanted = {k: v for k, v in wanted.items() if _group(k) in groups}
    found = {k: v for k, v in state.items() if _group(k) in groups}
    shapes = {k: tuple(v.shape) for k, v in wanted.items()}
    others = {k: tuple(v.shape) for k, v in found.items()}
    if shapes != others:
        differing = dict(set(shapes.items()) ^ set(others.items()))
        raise CheckpointError(
            f"{path} is of another model, optimizer or loss: it has "
            f"{len(others)} variables, and the model {len(shapes)}. Differing: "
            f"{sorted(differing)[:5]}. Build and compile as before, or train "
            "in another folder."
        )
    for key, variable in wanted.items():
        variable.assign(found[key])


def variables_of(model, groups):
    """The variables of a training step, keyed by group and number.

    `model.variables` includes the seeds of dropout; the optimizer's include
    EMA and step counts. `variable.path` can't be the key: Keras numbers layers
    from the start of the process.
    """
    variables = {"model": model.variables, "metrics": model.metrics_variables}
    if model.optimizer is not None:
        outer = model.optimizer
        inner = getattr(outer, "inner_optimizer", outer)
        variables["optimizer"] = inner.variables
        if inner is not outer:
            variables["scale"] = [outer.step_counter, outer.dynamic_scale]
    return {
        f"{group}/{i:05d}": variable
        for group in groups
        for i, variable in enumerate(variables.get(group, ()))
    }


def _group(key):
    return key.split("/")[0]


def _order(path):
    """Sort key: the number of steps, then whether the epoch has ended."""
    found = re.fullmatch(r"step-(\d{9,})(-end)?", path.name)
    return found and (int(found[1]), bool(found[2]))


def _sorted_paths(folder):
    """Paths of all checkpoints, the newest first."""
    paths = [x for x in folder.glob("step-*") if _order(x)]
    return sorted(paths, key=_order, reverse=True)


def _sums(path):
    """SHA-256 sums in the format of `sha256sum`."""
    lines = []
    for name in (MANIFEST, STATE):
        with open(path / name, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {name}\n")
    return "".join(lines)
