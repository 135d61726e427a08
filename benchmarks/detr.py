"""DETR-R50, its training step, and a detector on a ViT, beside the peers.

    pip install -e ".[parity]" && python benchmarks/detr.py \
        --python runtimes=/path/to/runtimes/bin/python \
        --python torch_onnx=/path/to/torch_onnx/bin/python

`runtimes` is an environment with keras_vtr, OpenVINO, ONNX Runtime and
tf2onnx, `torch_onnx` one with transformers, torch, onnx and ONNX Runtime. As
`side_by_side.py` says; all competitors on DETR-R50 have the same random
weights, which transformers writes first. `vit_detectors.py` says what the
detectors on a ViT are; int8 is ours, exported as ONNX, and pays only on
processors with instructions for it, which are printed. Two threads each; seven
rounds take 20 minutes on two cores; `--tasks` does less.
"""

import argparse
import os
import pathlib
import re
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
VIT_WORKER = WORKER.with_name("vit_detr_worker.py")
VIT_COMPETITORS = {
    "transformers, eager": "transformers",
    "transformers, torch.compile": "transformers",
    "keras_vtr, SavedModel": "keras_vtr",
    "keras_vtr, ONNX Runtime": "runtimes",
    "keras_vtr, ONNX Runtime, int8": "runtimes",
    "keras_vtr, OpenVINO": "runtimes",
    "keras_vtr, OpenVINO, int8": "runtimes",
}
VIT_TRAINERS = {
    "transformers, eager, training": "transformers",
    "keras_vtr, train_on_batch": "keras_vtr",
    "keras_vtr, train_on_batch, XLA": "keras_vtr",
}
TASKS = {
    "640 x 640": (WORKER, COMPETITORS),
    "800 x 1066": (WORKER, COMPETITORS),
    "training step, 2 x 480 x 640": (WORKER, TRAINERS),
    "ViT-S/16, 384 x 384": (VIT_WORKER, VIT_COMPETITORS),
    "RF-DETR-N, 384 x 384": (VIT_WORKER, VIT_COMPETITORS),
    "RF-DETR-S, 512 x 512": (VIT_WORKER, VIT_COMPETITORS),
    "RF-DETR-N, 384 x 384, training step": (VIT_WORKER, VIT_TRAINERS),
}
TRIED = {
    "ViT-S/16, 96 x 96, tiny": (VIT_WORKER, VIT_COMPETITORS),
    "RF-DETR-N, 96 x 96, tiny": (VIT_WORKER, VIT_COMPETITORS),
    "RF-DETR-N, 96 x 96, training step, tiny": (VIT_WORKER, VIT_TRAINERS),
}


def int8_instructions():
    """What the processor has for products of integers of eight bits."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    found = sorted(set(re.findall(r"\b\w*(?:vnni|int8)\b", flags)))
    return ", ".join(found) or "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--tasks", nargs="+", default=list(TASKS), choices=[*TASKS, *TRIED]
    )
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    print(f"Instructions for int8: {int8_instructions()}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DETR_WEIGHTS"] = folder
        python = pythons.get("transformers", sys.executable)
        subprocess.run([python, str(WORKER), "write", folder], check=True)
        for task in arguments.tasks:
            worker, competitors = (TASKS | TRIED)[task]
            compare(worker, task, competitors, pythons, arguments.rounds)


if __name__ == "__main__":
    main()
