"""Writes the weights whose outputs the golden files contain.

    python -m tests.pretrained.golden_weights FOLDER

writes a tiny ViT in timm's format, to try examples/finetune_vit.py with.
"""

import json
import pathlib
import sys

import numpy as np
import safetensors.numpy

from tests.pretrained import family_names

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


def write_tiny_rf_detr(folder, num_queries=8):
    """In transformers' format: two blocks, and queries enough for a scene."""
    case = family_names.stored()["RF-DETR"]
    config, shapes = case["config"], case["shapes"]
    for name in [x for x in shapes if ".layer.0." in x]:
        shapes[name.replace(".layer.0.", ".layer.1.")] = shapes[name]
    depth = {"num_hidden_layers": 2, "out_indices": [1, 2]}
    config["backbone_config"] |= depth
    config["num_queries"] = num_queries
    for name in ("query_feat.weight", "refpoint_embed.weight"):
        shapes[name][0] = num_queries * config["group_detr"]
    return write(folder, shapes, config)


def write_tiny_yolos(folder):
    case = family_names.stored()["YOLOS"]
    return write(folder, case["shapes"], case["config"])


if __name__ == "__main__":
    write_tiny_vit(pathlib.Path(sys.argv[1]))
