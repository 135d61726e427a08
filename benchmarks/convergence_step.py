"""What a training step costs on each row of convergence.py, also with XLA.

    python benchmarks/convergence_step.py

Batches of 16 scenes of digits; two threads. All rows are asked in turn; the
median over rounds, and that of the ratio to DETR without XLA in the same
round. The first call traces and compiles.
Takes 6 minutes on two cores.
"""

import argparse
import os
import statistics
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import convergence
import tensorflow as tf

import keras_vtr


def make_step(row, with_xla):
    _, model, loss = convergence.build(convergence.options_of(row))
    convergence.compile_model(model, loss, 1000, jit_compile=with_xla)
    scenes = keras_vtr.data.digit_scenes("train", batch_size=16)
    scenes = convergence.inputs_of(model, scenes)
    inputs, y_true = next(iter(scenes))
    return lambda: model.train_on_batch(inputs, y_true)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=41)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    steps, first = {}, {}
    for row in convergence.LADDER:
        for with_xla in (False, True):
            step = steps[row, with_xla] = make_step(row, with_xla)
            begin = time.perf_counter()
            step()
            first[row, with_xla] = time.perf_counter() - begin
    times = {key: [] for key in steps}
    for _ in range(arguments.rounds):
        for key, step in steps.items():
            begin = time.perf_counter()
            step()
            times[key].append(1e3 * (time.perf_counter() - begin))
    base = next(iter(times.values()))
    print("| | first, s | ms | relative | XLA: first, s | ms | relative |")
    print("|---" * 7 + "|")
    for row in convergence.LADDER:
        cells = []
        for key in ((row, False), (row, True)):
            ratios = [a / b for a, b in zip(times[key], base, strict=True)]
            cells += [
                f"{first[key]:.0f}",
                f"{statistics.median(times[key]):.0f}",
                f"{statistics.median(ratios):.2f}",
            ]
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
