"""Writes tide.npz: costs of errors by the authors of TIDE.

    pip install tidecv==1.0.1 opencv-python-headless seaborn appdirs
    python tests/golden/make_tide.py

The scenes are random: boxes near true ones, of the right or another class, and
boxes anywhere.
"""

import pathlib

import numpy as np
from tidecv import TIDE
from tidecv import Data

NUM_CLASSES, NUM_IMAGES = 4, 60


def scene(rng):
    """True (m, 5) and found (n, 6) rows: `xywh`, label and score."""
    num_objects = rng.integers(0, 6)
    corners = rng.uniform(0, 80, (num_objects, 2))
    sizes = rng.uniform(5, 40, (num_objects, 2))
    labels = rng.integers(0, NUM_CLASSES, (num_objects, 1))
    true = np.concatenate([corners, sizes, labels], axis=1)
    found = []
    for row in true:
        for _ in range(rng.integers(0, 4)):
            noise = rng.normal(0, rng.choice([0.5, 4, 10]), 4)
            box = np.maximum(row[:4] + noise, 1)
            is_right = rng.random() < 0.7
            label = row[4] if is_right else rng.integers(0, NUM_CLASSES)
            found.append([*box, label, rng.random()])
    for _ in range(rng.integers(0, 4)):
        box = [*rng.uniform(0, 80, 2), *rng.uniform(5, 40, 2)]
        found.append([*box, rng.integers(0, NUM_CLASSES), rng.random()])
    return true, np.array(found).reshape(-1, 6)


def main():
    rng = np.random.default_rng(0)
    true, found = Data("true"), Data("found")
    rows = {"true": [], "found": []}
    for i in range(NUM_IMAGES):
        objects, detections = scene(rng)
        true.add_image(i, str(i))
        for *box, label in objects:
            true.add_ground_truth(i, int(label), box)
        for *box, label, score in detections:
            found.add_detection(i, int(label), score, box)
        for key, table in (("true", objects), ("found", detections)):
            rows[key] += [[i, *row] for row in table]
    run = TIDE().evaluate(true, found, mode=TIDE.BOX)
    costs = run.fix_main_errors()
    counts = run.count_errors()
    np.savez(
        pathlib.Path(__file__).with_name("tide.npz"),
        **{key: np.array(table) for key, table in rows.items()},
        names=[kind.short_name for kind in costs],
        costs=[cost / 100 for cost in costs.values()],
        counts=[counts[kind] for kind in costs],
        ap50=run.ap / 100,
    )


if __name__ == "__main__":
    main()
