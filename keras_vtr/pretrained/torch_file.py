"""PyTorch's pickles: finds the weights among a training's other objects."""

import argparse
import datetime
import pathlib
import re
import types

import numpy as np

from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.tensor_file import TensorFile

# Keys of weights in the files of training programs. Averaged weights (EMA) are
# preferred, as timm, DINO and RT-DETR evaluate them.
AVERAGED = r"(.*_)?(ema|teacher|swa|averaged?)(_.*)?"
MAIN = (
    r"(model|network|net|module)(_state_dict|_state|_weights)?"
    r"|state_dict|weights|params"
)

NAMESPACES = (argparse.Namespace, types.SimpleNamespace)
SAVE_ALONE = "Save the weights alone: torch.save(model.state_dict(), path)."


class TorchFile(TensorFile):
    """A file that torch reads with `weights_only=True`.

    The weights are a dict of tensors, possibly within other dicts, such as
    `{"model_ema": {"module": ...}, "optimizer": ..., "epoch": 7}`. `settings`
    are the training's `arch` (timm) and `args`.
    """

    def __init__(self, path):
        super().__init__(path)
        torch = _import_torch(self.path)
        content = self._load(torch)
        found = _dicts_of_tensors(content, torch)
        keys = self._choose(content, found)
        self.place += "".join(f"[{key!r}]" for key in keys)
        self._tensors = found[keys]
        self.settings = _settings(content)
        for name, tensor in self._tensors.items():
            is_plain = tensor.layout == torch.strided and not tensor.is_nested
            if not is_plain or tensor.is_meta:
                raise PretrainedError(
                    f"{self.place}: the tensor {name!r} is nested, sparse or "
                    "without values. Weights must be plain tensors."
                )
            dtype = str(tensor.dtype).removeprefix("torch.")
            self._add(name, tensor.shape, dtype)
        # A view can claim a shape that its few values don't fill.
        self._check_size(sum(x.nbytes for x in self._tensors.values()))

    def _load(self, torch):
        known = torch.serialization.get_safe_globals()
        harmless = [x for x in _harmless_types() if x not in known]
        try:
            with torch.serialization.safe_globals(harmless):
                return torch.load(
                    self.path, map_location="cpu", weights_only=True
                )
        except Exception as error:
            # torch 2.13's own text advises `weights_only=False`.
            raise PretrainedError(f"{self.path} {_reason(error)}") from None

    def _choose(self, content, found):
        """The keys that lead to the weights."""
        ranks = {keys: _rank(keys) for keys in found}
        best = [keys for keys in found if ranks[keys] == min(ranks.values())]
        if len(best) != 1:
            keys = list(content)[:20] if isinstance(content, dict) else ()
            raise PretrainedError(
                f"{self.path} must hold one dict of tensors by name, itself "
                "or under a key such as 'model', 'state_dict' or 'ema'. It is "
                f"a {type(content).__name__} with the keys {keys}, and has "
                f"{len(best)} such dicts: "
                f"{['.'.join(keys) for keys in best]}. {SAVE_ALONE}"
            )
        others = [x for x in found if x != best[0] and ranks[x] <= 1]
        if others:
            self.remarks = (
                f"Of {['.'.join(x) for x in found if ranks[x] <= 1]} the "
                f"weights of {'.'.join(best[0])!r} were loaded: averaged ones "
                "if there are any.",
            )
        return best[0]

    def _read(self, name):
        return self._tensors[name].detach().float().numpy()


def _dicts_of_tensors(content, torch, keys=(), seen=()):
    """All dicts of tensors within nested dicts, by their tuples of keys."""
    if not isinstance(content, dict) or id(content) in seen:
        return {}
    named = {k: x for k, x in content.items() if isinstance(k, str)}
    tensors = {k: x for k, x in named.items() if isinstance(x, torch.Tensor)}
    has_weights = any(
        x.ndim and x.is_floating_point() for x in tensors.values()
    )
    found = {keys: tensors} if has_weights else {}
    for key, value in named.items():
        inner = (*keys, key), (*seen, id(content))
        found |= _dicts_of_tensors(value, torch, *inner)
    return found


def _rank(keys):
    """0 for the keys that most likely lead to the weights, then 1, 2, 3."""
    if any(re.fullmatch(AVERAGED, key) for key in keys):
        return 0
    if keys:
        return 1 if re.fullmatch(MAIN, keys[0]) else 3
    return 2


def _settings(content):
    if not isinstance(content, dict):
        return {}
    settings = {"arch": content.get("arch"), "args": content.get("args")}
    return {
        key: vars(value) if isinstance(value, NAMESPACES) else value
        for key, value in settings.items()
    }


def _harmless_types():
    """Types that trainings save beside weights and that run no program.

    torch 2.13 fills only plain dicts and lists, so others become these here.
    """
    values = NAMESPACES
    values += (bool, int, float, str, list, dict, tuple, frozenset)
    values += (np.dtype, np.ndarray)
    values += tuple(type(np.dtype(x)) for x in "?bBhHiIlLqQefdFDUSOM")
    values += (datetime.date, datetime.time, datetime.datetime)
    values += (datetime.timedelta, datetime.timezone)
    # Pickles name NumPy's private constructors, `numpy.core` before NumPy 2 and
    # `numpy._core` since; no public name gives them (NumPy 2.4).
    core = np._core.multiarray
    named = {
        f"numpy.{module}.multiarray.{name}": getattr(core, name)
        for module in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    }
    for module in ("pathlib", "pathlib._local"):  # the latter: Python 3.13
        for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
            named[f"{module}.{kind.__name__}"] = kind
            named[f"{module}.{kind.__name__.removeprefix('Pure')}"] = kind
    named["collections.defaultdict"] = lambda factory=None: {}
    named["collections.deque"] = lambda items=(), maxlen=None: list(items)
    return [*values, *((value, name) for name, value in named.items())]


def _reason(error):
    text = str(error)
    foreign = re.search(r"GLOBAL (\S+)", text)
    if foreign:
        return (
            f"holds {foreign.group(1)}, and is read only if it holds just "
            "tensors and plain values, because files of this kind can run "
            f"programs. If you trust it, load it yourself. {SAVE_ALONE}"
        )
    if "TorchScript" in text:
        return f"is a TorchScript program. {SAVE_ALONE}"
    reason = type(error).__name__
    if text and "weights_only" not in text:
        reason = f"{reason}: {text.splitlines()[0]}"
    return f"is damaged, or not written by `torch.save` ({reason})."


def _import_torch(path):
    remedy = f"pip install 'torch>=2.10', or convert {path.name} to safetensors"
    try:
        import torch
    except ImportError as error:
        raise PretrainedError(
            f"{path}: files of this kind are read by torch, which is not "
            f"installed. {remedy}."
        ) from error
    version = tuple(int(x) for x in torch.__version__.split(".")[:2])
    if version < (2, 10):
        raise PretrainedError(
            f"{path}: torch {torch.__version__} has a known vulnerability in "
            f"its safe loading (CVE-2026-24747). {remedy}."
        )
    return torch
