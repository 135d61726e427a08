"""True and found objects by hand, and those that TIDE's authors have seen."""

import pathlib

import numpy as np

from keras_vtr.evaluation import evaluate_detections
from keras_vtr.evaluation.objects import matched_objects
from keras_vtr.metrics import CocoAveragePrecision

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "tide.npz"
CAT, DOG = 0, 1
NAMES = ("cat", "dog")


def true(*rows):
    """Rows of `xyxy` and label."""
    rows = np.array(rows, "float64").reshape(-1, 5)
    return {"boxes": rows[:, :4], "labels": rows[:, 4].astype(int)}


def found(*rows):
    """Rows of `xyxy`, label and score."""
    rows = np.array(rows, "float64").reshape(-1, 6)
    return {**true(*rows[:, :5]), "scores": rows[:, 5]}


def report(pairs, names=NAMES, **options):
    """The report on pairs of `true` and `found`, one for each image."""
    both = zip(*pairs, strict=True)
    return evaluate_detections(*map(list, both), names, **options)


def objects(pairs, num_classes=2):
    """Their `MatchedObjects`."""
    precision = CocoAveragePrecision()
    tables = precision.tables
    for some, others in pairs:
        tables.add_image(0, 0)
        for box, label in zip(some["boxes"], some["labels"], strict=True):
            tables.add_true(to_xywh(box), label, None, False)
        columns = (others[key] for key in ("boxes", "labels", "scores"))
        for box, *rest in zip(*columns, strict=True):
            tables.add_found(to_xywh(box), *rest)
    return matched_objects(tables, precision.results()[""], num_classes)


def golden():
    """Pairs of 60 images, four classes, and what TIDE's authors computed."""
    file = np.load(GOLDEN)
    pairs = []
    for i in range(int(file["true"][:, 0].max()) + 1):
        rows = []
        for key in ("true", "found"):
            table = file[key][file[key][:, 0] == i, 1:]
            table[:, 2:4] += table[:, :2]
            rows.append(table)
        pairs.append((true(*rows[0]), found(*rows[1])))
    return pairs, {key: file[key] for key in ("costs", "counts", "ap50")}


def to_xywh(box):
    return [*box[:2], *(box[2:] - box[:2])]
