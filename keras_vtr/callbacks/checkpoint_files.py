"""One moment of a training run on the disk, whole or not at all."""

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

# Of variables. The scale is a `LossScaleOptimizer`'s around the optimizer.
STEP_GROUPS = ("model", "optimizer", "scale")
STATE, MANIFEST, SUMS = "state.safetensors", "manifest.json", "SHA256SUMS"


class CheckpointError(Exception):
    """A checkpoint that can't be gone on from; says why."""


def lock_folder(folder):
    """Makes the folder and keeps other processes out of it.

    Raises:
        CheckpointError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One lock a process, so that a notebook can begin again.
    lock = filelock.FileLock(folder.resolve() / "lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise CheckpointError(
            f"Another process has {folder}. Wait for it, or train in another "
            "folder."
        ) from None
    return lock


def write_checkpoint(folder, model, manifest, groups):
    """Writes `folder/step-<number>`, unless this moment is there already.

    Args:
        folder: `pathlib.Path` of the run.
        model: A compiled model whose optimizer is built.
        manifest: Dict with `"num_steps"`, `"epoch"`, `"steps_in_epoch"`, and
            `"value"`, what the run is judged by, or None.
        groups: Which variables to write, of `STEP_GROUPS` and "metrics".
    """
    manifest = {
        **manifest,
        "versions": {"keras": keras.version(), "keras_vtr": __version__},
    }
    name = f"step-{manifest['num_steps']:09d}"
    if manifest["steps_in_epoch"] == 0:
        name = f"{name}-end"  # of an epoch, judged

    def write(path):
        state = {
            key: np.array(keras.ops.convert_to_numpy(variable), order="C")
            for key, variable in variables_of(model, groups).items()
        }
        try:
            save_file(state, path / STATE)
        except SafetensorError as error:  # as a full disk's is
            raise OSError(str(error)) from error
        (path / MANIFEST).write_text(json_text(manifest))
        (path / SUMS).write_text(_sums(path))

    if (folder / name).exists():  # broken, or the run would be beyond it
        remove_folder(folder / name)
    return write_folder(folder, name, write)


def read_manifest(path):
    """The manifest of a checkpoint that is whole.

    Raises:
        CheckpointError: If a byte of it is missing or changed.
    """
    try:
        is_whole = (path / SUMS).read_text() == _sums(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not is_whole:
        raise CheckpointError(f"{path} was damaged: {SUMS} doesn't fit it.")
    return json.loads((path / MANIFEST).read_text())


def whole_checkpoints(folder):
    """Paths and manifests, the newest first, each checked when it is asked."""
    names = [x for x in folder.glob("step-*") if _order(x)]
    for path in sorted(names, key=_order, reverse=True):
        try:
            yield path, read_manifest(path)
        except CheckpointError as error:
            warnings.warn(f"Not used: {error}", RuntimeWarning, stacklevel=2)


def best_checkpoint(folder, mode="max"):
    """Path and manifest of the best judged one, or None if none was."""
    sign = {"max": 1, "min": -1}[mode]
    judged = [
        (sign * manifest["value"], manifest["num_steps"], path, manifest)
        for path, manifest in whole_checkpoints(folder)
        if manifest["value"] is not None
    ]
    return max(judged)[2:] if judged else None


def remove_old(folder, keep, mode):
    """Removes all but the newest `keep` and the best, by what they say."""
    sign, values = {"max": 1, "min": -1}[mode], {}
    paths = [x for x in folder.glob("step-*") if _order(x)]
    for path in paths:
        try:
            value = json.loads((path / MANIFEST).read_text())["value"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if value is not None:
            values[path] = sign * value
    best = max(values, key=lambda x: (values[x], _order(x)), default=None)
    for path in sorted(paths, key=_order, reverse=True)[keep:]:
        if path != best:
            remove_folder(path)


def load_state(path, model, groups):
    """Fills a model from a checkpoint, or changes nothing.

    A scale that one of them lacks is left out: `SkipNonFinite`, which brings
    one, may come and go.

    Raises:
        CheckpointError: If the model has other variables.
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
            f"{sorted(differing)[:5]}. Build and compile as before, or begin "
            "in another folder."
        )
    for key, variable in wanted.items():
        variable.assign(found[key])


def variables_of(model, groups):
    """All that a step of training reads and writes, by kind and number.

    Seeds of dropout are among a model's `variables`, averages and counted
    steps among the optimizer's. Whole paths are no names: Keras counts layers
    from the start of a process on.
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
    """Steps, and an epoch's end after its last step."""
    found = re.fullmatch(r"step-(\d{9,})(-end)?", path.name)
    return found and (int(found[1]), bool(found[2]))


def _sums(path):
    """As `sha256sum` writes them."""
    lines = []
    for name in (MANIFEST, STATE):
        with open(path / name, "rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}")
        lines[-1] += f"  {name}\n"
    return "".join(lines)
