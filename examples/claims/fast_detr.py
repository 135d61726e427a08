"""Claim: plain attention is enough to make DETR learn fast, part by part.

    python examples/claims/fast_detr.py

Trains the rows of benchmarks/convergence.py, each with one part more than the
row before it; some 200 minutes on two cores, by the time of a step; `--short`
less, for numbers that mean nothing. Lin et al. 2023 ("DETR Does Not Need
Multi-Scale or Locality Design"), tables 1 and 2, add such parts on COCO, 12
epochs each, from an AP of 0.225 to 0.509. What it gives on scenes of digits
stands in README.md.
"""

import pathlib
import sys

import experiment

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import convergence  # noqa: E402

STEPS = f"steps to AP {convergence.GOAL:.2f}"
VARIANTS = {row: {"row": row} for row in convergence.LADDER}


def measure(seed, steps, row):
    """How soon and how well a row detects."""
    curve, found, twice = convergence.train(row, seed, steps)
    return [
        {
            STEPS: convergence.steps_to_goal(curve),
            "AP": curve[-1],
            "found of 100": found,
            "twice of 100": twice,
        }
    ]


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=5000,
        values=[STEPS, "AP", "found of 100", "twice of 100"],
    )
