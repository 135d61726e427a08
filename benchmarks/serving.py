"""Bytes in, detections out: requests per second and latency, side by side.

    pip install -e ".[benchmarks,onnx,parity]" && python benchmarks/serving.py \
        --python triton=/path/to/triton/bin/python

`triton` is an environment with nvidia-pytriton, numpy<2 and TensorFlow. Each
competitor is a process that puts itself under load by 1, 4 and 16 clients, each
of which asks again when it has its answer; they take turns, round after round.
Without --detector digit_detr.keras a small DETR with random weights stands for
that of examples/train_detr.py. Takes 20 minutes on two cores.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from side_by_side import start

WORKER = pathlib.Path(__file__).with_name("serving_worker.py")
CLIENTS = (1, 4, 16)
# Competitor to the environment that it needs.
OURS = {
    "keras_vtr, SavedModel in process": "keras_vtr",
    "keras_vtr, SavedModel under Triton": "triton_client",
    "ONNX Runtime, our ONNX, in process": "keras_vtr",
}
COMPETITORS = {
    "digit scenes": OURS,
    "DETR-R50 at 640 x 640": {
        **OURS,
        "transformers on torch, FastAPI": "transformers",
    },
}


def measure(task, pythons, num_rounds):
    """Prints a table: medians over the rounds."""
    running, absent = start(WORKER, task, COMPETITORS[task], pythons)
    found = {(name, n): [] for name in running for n in CLIENTS}
    for _ in range(num_rounds):
        for num_clients in CLIENTS:
            for name, competitor in running.items():
                found[name, num_clients].append(competitor.ask(num_clients))
    for competitor in running.values():
        competitor.close()
    header = " | ".join(f"{n} clients" for n in CLIENTS)
    print(f"\n| {task}: requests/s, p50, p99 in ms | {header} |")
    print("|---" * (1 + len(CLIENTS)) + "|")
    for name in running:
        cells = []
        for num_clients in CLIENTS:
            rounds = found[name, num_clients]
            rate, p50, p99 = map(statistics.median, zip(*rounds, strict=True))
            cells.append(f"{rate:.1f}, {p50:.0f}, {p99:.0f}")
        print(f"| {name} | {' | '.join(cells)} |")
    for name, problem in absent.items():
        print(f"| {name} | absent: {problem[:80]} |" + " |" * 2)
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--detector", help="a .keras of the digit scenes'")
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SERVING_FOLDER"] = folder
        os.environ["TRITON_PYTHON"] = pythons.get("triton", "")
        os.environ["DIGIT_DETR"] = arguments.detector or ""
        subprocess.run([sys.executable, str(WORKER), "prepare"], check=True)
        for task in COMPETITORS:
            measure(task, pythons, arguments.rounds)
        subprocess.run([sys.executable, str(WORKER), "stages"], check=True)


if __name__ == "__main__":
    main()
