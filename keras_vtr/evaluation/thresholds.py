"""Precision, recall and F1 over thresholds, and the best threshold."""

import dataclasses

import numpy as np

LEAST_OBJECTS = 10  # a threshold that fewer objects have chosen is unsure
WIDEST = 0.3  # and so is one whose interval is wider
NUM_RESAMPLES = 200
UNKNOWN = 0.5  # the threshold of a class without an object that was found
GRID = np.linspace(0, 1, 101)  # thresholds of a curve
NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class BestThreshold:
    """The threshold of the highest F1 = 2 TP / (detections + objects).

    Args:
        threshold: In the middle between the lowest score that is kept and the
            highest that is not; NaN if nothing was found.
        threshold_interval: 95 % of it, by the bootstrap.
        precision: The share of detections that are right.
        recall: The share of objects that are found.
        f1: Their harmonic mean.
        f1_interval: 95 % of the F1 at this threshold.
        num_objects: How many true objects have chosen it.
    """

    threshold: float
    threshold_interval: tuple
    precision: float
    recall: float
    f1: float
    f1_interval: tuple
    num_objects: int

    @property
    def is_sure(self):
        """Whether there are enough objects and the interval is narrow."""
        low, high = self.threshold_interval
        return self.num_objects >= LEAST_OBJECTS and high - low <= WIDEST


def resamples(num_images, num_resamples=NUM_RESAMPLES, seed=0):
    """(R, num_images): how often each image is drawn, with replacement."""
    rng = np.random.default_rng(seed)
    draws = (
        np.bincount(
            rng.integers(num_images, size=num_images), minlength=num_images
        )
        for _ in range(num_resamples if num_images else 0)
    )
    return np.array([*draws], "int32").reshape(-1, num_images)


def best_threshold(objects, draws, label=None):
    """The best threshold of one class, or a common one of all.

    Efron 1979: images are drawn by `resamples`, each with all of its objects,
    since those of an image depend on each other. Matches are per image, so they
    stay.

    Args:
        objects: The `MatchedObjects`.
        draws: What `resamples` returns.
        label: Of the class. Default: all.

    Returns:
        The `BestThreshold`.
    """
    scores, is_right, images, true_images = _of_class(objects, label)
    num_objects = len(true_images)
    ends = _ends(scores)
    hits = np.cumsum(is_right)[ends]
    nothing = BestThreshold(
        NAN, (NAN, NAN), NAN, 0.0, 0.0, (NAN, NAN), num_objects
    )
    if not num_objects:
        return dataclasses.replace(nothing, recall=NAN, f1=NAN)
    if not len(ends) or not hits[-1]:
        return nothing
    f1 = 2 * hits / (ends + 1 + num_objects)
    best = int(np.argmax(f1))
    candidates = (scores[ends] + np.append(scores[ends[1:]], 0.0)) / 2
    chosen, reached = [], []
    for draw in draws:
        total = draw[true_images].sum()
        weights = draw[images]
        right = np.cumsum(weights * is_right)[ends]
        found = np.cumsum(weights)[ends]
        if total and right[-1]:
            curve = 2 * right / (found + total)
            chosen.append(candidates[np.argmax(curve)])
            reached.append(curve[best])
    return BestThreshold(
        threshold=float(candidates[best]),
        threshold_interval=_interval(chosen),
        precision=float(hits[best] / (ends[best] + 1)),
        recall=float(hits[best] / num_objects),
        f1=float(f1[best]),
        f1_interval=_interval(reached),
        num_objects=num_objects,
    )


def curves(objects, label=None):
    """Precision, recall and F1 at `GRID`, (3, 101); NaN where undefined."""
    scores, is_right, _, true_images = _of_class(objects, label)
    found = np.searchsorted(-scores, -GRID, "right")  # scores >= threshold
    hits = np.append(0, np.cumsum(is_right))[found]
    num_objects = len(true_images)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.stack(
            [
                hits / found,
                hits / np.float64(num_objects),
                2 * hits / np.float64(found + num_objects)
                if num_objects
                else np.full(len(GRID), NAN),
            ]
        )


def _of_class(objects, label):
    """Scores, whether right, images of detections; images of true objects."""
    columns = objects.scores, objects.is_right, objects.images
    true_images = objects.true_images
    if label is not None:
        columns = (x[objects.labels == label] for x in columns)
        true_images = true_images[objects.true_labels == label]
    return *columns, true_images


def _ends(scores):
    """The last place of each score: equal ones are kept or dropped together."""
    if not len(scores):
        return np.zeros(0, int)
    return np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)


def _interval(values):
    """The middle 95 % of the values."""
    if not values:
        return NAN, NAN
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
