"""Memory and time of a ViT's training step, with its blocks computed twice.

    pip install -e . && python benchmarks/rematerialization.py

ViT-Ti/16 at 224 x 224, dropout 0.1, batches of 64, SGD, TensorFlow. Each in a
process of its own, asked in turn; two threads; the most memory that a process
had, less what it had before the first step. Takes three minutes.
"""

import contextlib
import json
import os
import resource
import statistics
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from side_by_side import Competitor

NAMES = ("plain", "rematerialized")
ROUNDS = 5


def work(name):
    """Answers each line with the seconds and the MiB of a step."""
    import keras
    import numpy as np

    import keras_vtr

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(2)
        tf.config.threading.set_inter_op_parallelism_threads(2)
    scope = contextlib.nullcontext()
    if name == "rematerialized":
        blocks = [f"block_{i}" for i in range(12)]
        scope = keras.RematScope("list_of_layers", layer_names=blocks)
    with scope:
        vit = keras_vtr.models.build_vit(10, size="tiny", dropout=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    vit.compile("sgd", loss)
    images = np.random.default_rng(0).uniform(0, 255, (64, 224, 224, 3))
    images, labels = images.astype("float32"), np.zeros(64, "int32")
    before = peak()
    vit.train_on_batch(images, labels)
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        vit.train_on_batch(images, labels)
        seconds = time.perf_counter() - begin
        answer = {"seconds": seconds, "MiB": peak() - before}
        print(json.dumps(answer), flush=True)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    if len(sys.argv) > 1:
        return work(sys.argv[1])
    running = {x: Competitor([sys.executable, __file__, x]) for x in NAMES}
    for name, competitor in running.items():
        problem = competitor.wait_until_ready()
        if problem is not None:
            sys.exit(f"{name} can't start: {problem}")
    answers = {name: [] for name in NAMES}
    for _ in range(ROUNDS):
        for name, competitor in running.items():
            answers[name].append(competitor.ask())
    print("| | MiB of a step | relative | time, relative |\n|---|---|---|---|")
    for name in NAMES:
        pairs = list(zip(answers[name], answers["plain"], strict=True))
        ratios = (a["seconds"] / b["seconds"] for a, b in pairs)
        most, base = (x[-1]["MiB"] for x in (answers[name], answers["plain"]))
        print(
            f"| {name} | {most:,.0f} | {most / base:.2f} | "
            f"{statistics.median(ratios):.2f} |"
        )
    for competitor in running.values():
        competitor.close()


if __name__ == "__main__":
    main()
