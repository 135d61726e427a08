"""ViT-B/16 and a ViT-S/16 training step against the peers, side by side.

    pip install -e . && python benchmarks/vit.py \
        --python timm=/path/to/timm/bin/python \
        --python keras_hub=/path/to/keras_hub/bin/python

As `side_by_side.py` says. Two threads each; nine rounds with all take 13
minutes on two cores.
"""

import argparse
import pathlib

from side_by_side import compare

WORKER = pathlib.Path(__file__).with_name("vit_worker.py")
# Competitor to the environment that it needs.
COMPETITORS = {
    "timm, eager": "timm",
    "timm, torch.compile": "timm",
    "transformers, eager": "transformers",
    "keras_vtr, SavedModel": "keras_vtr",
    "KerasHub, TF graph": "keras_hub",
    "ONNX Runtime, timm's weights": "timm",
    "OpenVINO, our SavedModel": "runtimes",
    "ONNX Runtime, our SavedModel": "runtimes",
}
TRAINERS = {
    "timm, eager": "timm",
    "keras_vtr, train_on_batch": "keras_vtr",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    for task in ("batch 1", "batch 8"):
        compare(WORKER, task, COMPETITORS, pythons, arguments.rounds)
    task = "ViT-S/16, training step"
    compare(WORKER, task, TRAINERS, pythons, arguments.rounds)


if __name__ == "__main__":
    main()
