"""Writes the weights whose outputs the golden files contain.

    python -m tests.pretrained.golden_weights FOLDER

writes a tiny ViT in timm's format, to try examples/finetune_vit.py with.
"""

import json
import pathlib
import sys

import numpy as np
import safetensors.numpy

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"


def random_weights(shapes, seed=0):
    """As in tests/golden/make_timm.py; NumPy never changes RandomState."""
    random = np.random.RandomState(seed)
    weights = {}
    for name in sorted(shapes):
        weights[name] = random.normal(0.0, 0.2, size=shapes[name])
        if "norm" in name.lower() or "gn" in name:
            if name.endswith(("weight", "scale")):
                weights[name] += 1.0
    return {name: x.astype("float32") for name, x in weights.items()}


def random_images(size):
    random = np.random.RandomState(1)
    return random.uniform(0, 255, size=(2, *size, 3)).astype("float32")


def write(folder, shapes, config=None, as_npz=False):
    """A folder with weights, and config.json if there is one."""
    weights = random_weights({k: tuple(v) for k, v in shapes.items()})
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if as_npz:
        np.savez(folder / "weights.npz", **weights)
        return folder / "weights.npz"
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    return folder


def write_tiny_vit(folder):
    cases = json.loads(str(np.load(GOLDEN / "timm.npz")["cases"]))
    return write(folder, **cases["vit"])


if __name__ == "__main__":
    write_tiny_vit(pathlib.Path(sys.argv[1]))
