"""DETR-R50 and its training step against the peers, side by side.

    pip install -e ".[parity]" && python benchmarks/detr.py \
        --python runtimes=/path/to/runtimes/bin/python \
        --python torch_onnx=/path/to/torch_onnx/bin/python

`runtimes` is an environment with keras_vtr, OpenVINO, ONNX Runtime and
tf2onnx, `torch_onnx` one with transformers, torch, onnx and ONNX Runtime. As
`side_by_side.py` says; all competitors have the same random weights, which
transformers writes first. Two threads each; seven rounds take 10 minutes on
two cores.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from side_by_side import compare

WORKER = pathlib.Path(__file__).with_name("detr_worker.py")
# Competitor to the environment that it needs.
COMPETITORS = {
    "transformers, eager": "transformers",
    "transformers, torch.compile": "transformers",
    "keras_vtr, SavedModel": "keras_vtr",
    "keras_vtr, SavedModel, norms not folded": "keras_vtr",
    "ONNX Runtime, transformers' weights": "torch_onnx",
    "ONNX Runtime, our SavedModel": "runtimes",
    "OpenVINO, our SavedModel": "runtimes",
}
TRAINERS = {
    "transformers, eager": "transformers",
    "keras_vtr, train_on_batch": "keras_vtr",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DETR_WEIGHTS"] = folder
        python = pythons.get("transformers", sys.executable)
        subprocess.run([python, str(WORKER), "write", folder], check=True)
        for task in ("640 x 640", "800 x 1066"):
            compare(WORKER, task, COMPETITORS, pythons, arguments.rounds)
        task = "training step, 2 x 480 x 640"
        compare(WORKER, task, TRAINERS, pythons, arguments.rounds)


if __name__ == "__main__":
    main()
