"""ViT-B/16 and a ViT-S/16 training step against the peers, side by side.

    pip install -e . && python benchmarks/vit.py \
        --python timm=/path/to/timm/bin/python \
        --python keras_hub=/path/to/keras_hub/bin/python

Each competitor is a process of its own, in its own environment (`--python`;
without one, the environment that runs this); all of them are started first,
then asked in turn, round after round, so that the machine's drift meets all.
One prints what each took relative to timm eager: the median over rounds of
the ratio within a round. Who can't start is named. Two threads each; nine
rounds with all take 13 minutes on two cores.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

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


class Competitor:
    """A process that answers each line with the milliseconds of one call."""

    def __init__(self, name, task, python):
        self.process = subprocess.Popen(
            [python, str(WORKER), name, task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self):
        line = self.process.stdout.readline().strip()
        if line == "ready":
            return None
        self.process.kill()
        errors = self.process.stderr.read().strip().splitlines()
        return errors[-1] if errors else "no answer"

    def milliseconds(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


def compare(task, names, pythons, num_rounds):
    running, absent = {}, {}
    for name, environment in names.items():
        python = pythons.get(environment, sys.executable)
        competitor = Competitor(name, task, python)
        problem = competitor.wait_until_ready()
        if problem is None:
            running[name] = competitor
        else:
            absent[name] = problem
    times = {name: [] for name in running}
    for _ in range(num_rounds):
        for name, competitor in running.items():
            times[name].append(competitor.milliseconds())
    for competitor in running.values():
        competitor.close()
    base = times.get("timm, eager", next(iter(times.values())))
    print(f"\n| {task} | milliseconds | relative |\n|---|---|---|")
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, base, strict=True)]
        median = statistics.median(values)
        print(f"| {name} | {median:.0f} | {statistics.median(ratios):.2f} |")
    for name, problem in absent.items():
        print(f"| {name} | absent: {problem[:80]} | |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    for task in ("batch 1", "batch 8"):
        compare(task, COMPETITORS, pythons, arguments.rounds)
    compare("ViT-S/16, training step", TRAINERS, pythons, arguments.rounds)


if __name__ == "__main__":
    main()
