"""Milliseconds to solve 48 assignment problems, side by side.

    pip install -e ".[benchmarks]" && python benchmarks/matching.py

48 problems are the matchings of one training step of DETR: 8 images x 6
decoder layers, 100 queries. One pinned core, median of interleaved rounds;
takes about ten minutes, most of it for KerasHub. JAX runs in a process of its
own, started by this one, because Keras has one backend a process; it solves
the same problems, and SciPy runs in both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import keras
import numpy as np
from scipy import optimize

from keras_vtr.losses import matching

NUM_PROBLEMS, NUM_QUERIES = 48, 100
CASES = [
    (7, "random"),
    (7, "trained"),
    (20, "random"),
    (20, "trained"),
    (100, "random"),
]


def make_costs(num_targets, kind):
    """Uniform costs; "trained": each target has one query that stands out."""
    rng = np.random.default_rng(num_targets)
    cost = rng.random((NUM_PROBLEMS, num_targets, NUM_QUERIES))
    if kind == "trained":
        for problem in cost:
            queries = rng.permutation(NUM_QUERIES)[:num_targets]
            problem[np.arange(num_targets), queries] -= 2
    return cost.astype("float32")


def scipy_in_a_loop(cost):
    return np.stack([optimize.linear_sum_assignment(c)[1] for c in cost])


def make_ours():
    """Dict of how our matcher can be run to the function that does it."""

    def ours(cost):
        return matching.assign(cost, keras.ops.ones(cost.shape[:2], "bool"))

    if keras.backend.backend() == "jax":
        import jax

        return {"ours, JAX": jax.jit(ours)}
    import tensorflow as tf

    from keras_vtr.losses import shortest_augmenting_path

    plain = shortest_augmenting_path.solve.python_function

    def without_xla(cost):
        is_target = keras.ops.ones(cost.shape[:2], "bool")
        return plain(cost, is_target)

    return {
        "ours, TF step": tf.function(ours, autograph=False),
        "ours, TF step under XLA": tf.function(
            ours, jit_compile=True, autograph=False
        ),
        "ours, TF graph without XLA": tf.function(without_xla, autograph=False),
    }


def make_keras_hub():
    """KerasHub's matcher takes one square problem at a time."""
    try:
        import tensorflow as tf
        from keras_hub.src.models.d_fine.d_fine_utils import (
            hungarian_assignment,
        )
    except ImportError as error:
        print(f"absent: KerasHub ({error})")
        return None

    @tf.function(autograph=False)
    def one(cost):  # (M, Q); it wants (Q, M)
        return hungarian_assignment(tf.transpose(cost), NUM_QUERIES)

    def solve(cost):
        assignment = np.full(cost.shape[:2], -1)
        for p, problem in enumerate(cost):
            queries, targets, is_valid = (np.asarray(x) for x in one(problem))
            assignment[p, targets[is_valid]] = queries[is_valid]
        return assignment

    return solve


def share_of_optimal(cost, assignment):
    best = scipy_in_a_loop(cost)
    rows = np.arange(cost.shape[1])
    good = 0
    for c, ours, theirs in zip(cost, assignment, best, strict=True):
        is_valid = len(set(ours.tolist())) == len(rows)
        total, least = c[rows, ours].sum(), c[rows, theirs].sum()
        good += is_valid and total <= least + 1e-4 * abs(least)
    return good / len(cost)


def measure(functions, cost, num_rounds):
    """Milliseconds (median) and share of optimal answers, interleaved.

    Ours is given a tensor, which is what it finds in a training step.
    """
    inputs = {
        name: keras.ops.convert_to_tensor(cost) if "ours" in name else cost
        for name in functions
    }
    times = {name: [] for name in functions}
    optimal = {}
    for name, function in functions.items():
        optimal[name] = share_of_optimal(cost, np.asarray(function(cost)))
    for _ in range(num_rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            np.asarray(function(inputs[name]))
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {
        name: (statistics.median(times[name]), optimal[name])
        for name in functions
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true", help="for the child")
    arguments = parser.parse_args()
    functions = {"SciPy in a loop": scipy_in_a_loop, **make_ours()}
    table = {}
    for num_targets, kind in CASES:
        cost = make_costs(num_targets, kind)
        table[f"{num_targets} {kind}"] = measure(
            functions, cost, arguments.rounds
        )
    if arguments.json:
        print(json.dumps(table))
        return
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--json", "--rounds"]
    child = subprocess.run(
        [*command, str(arguments.rounds)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    jax_table = json.loads(child.stdout.splitlines()[-1])
    keras_hub = make_keras_hub()
    for case, row in table.items():
        # In JAX's process SciPy may have been faster or slower: as a ratio.
        jax_row = jax_table[case]
        ratio = jax_row["ours, JAX"][0] / jax_row["SciPy in a loop"][0]
        row["ours, JAX"] = (
            ratio * row["SciPy in a loop"][0],
            jax_row["ours, JAX"][1],
        )
        if keras_hub:
            num_targets, kind = case.split()
            cost = make_costs(int(num_targets), kind)
            row.update(measure({"KerasHub": keras_hub}, cost, 1))
    print_table(table)


def print_table(table):
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    print("| milliseconds (x SciPy), optimal | " + " | ".join(table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for name in names:
        cells = []
        for row in table.values():
            if name not in row:
                cells.append("")
                continue
            time_taken, optimal = row[name]
            ratio = time_taken / row["SciPy in a loop"][0]
            cells.append(f"{time_taken:.2f} ({ratio:.1f}), {optimal:.0%}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
