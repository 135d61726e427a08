"""Why detections are wrong, and how much average precision that costs."""

import dataclasses

import numpy as np

from keras_vtr.evaluation.objects import OVERLAP

BACKGROUND = 0.1  # IoU below which a detection has nothing to do with an object
KINDS = {
    "classification": "right place, wrong class",
    "localization": f"right class, but an IoU of {BACKGROUND} to {OVERLAP}",
    "both": f"wrong class, and an IoU of {BACKGROUND} to {OVERLAP}",
    "duplicate": "an object that a higher score has found already",
    "background": f"nothing there, IoU below {BACKGROUND}",
    "missed": "a true object that none of these explains",
}
FALSE_KINDS = (*KINDS,)[:-1]


@dataclasses.dataclass(frozen=True)
class Errors:
    """The kind of each mistake.

    Args:
        kinds: (n,) the number of a detection's kind in `KINDS`, -1 if right.
        repairs: (n,) the true object that a detection would find if its class
            or its place were right; -1 where there is none, or where another
            one has found it or would, with a higher score.
        is_missed: (M,) bool: true objects of the kind "missed".
    """

    kinds: np.ndarray
    repairs: np.ndarray
    is_missed: np.ndarray

    def is_kind(self, kind):
        """(n,) bool, or (M,) for "missed"."""
        if kind == "missed":
            return self.is_missed
        return self.kinds == FALSE_KINDS.index(kind)


def sort_errors(objects):
    """Sorts the mistakes of `MatchedObjects` into six kinds.

    Bolya et al. 2020 (TIDE), "Defining Error Types", in the order of the
    authors' `tidecv/quantify.py`. An IoU of exactly 0.5 is an overlap and one
    of exactly 0.1 is none with the background; there both are either.

    Returns:
        The `Errors`.
    """
    kinds = np.full(len(objects.labels), -1)
    targets = np.full(len(objects.labels), -1)
    for found, true in objects.by_image():
        wrong = found[~objects.is_right[found]]
        if len(wrong):
            kinds[wrong], targets[wrong] = _of_image(objects, wrong, true)
    is_found = objects.is_found
    claims = np.flatnonzero(targets >= 0)
    claims = claims[~is_found[targets[claims]]]
    # The highest score is the first one.
    claimed, first = np.unique(targets[claims], return_index=True)
    repairs = np.full(len(targets), -1)
    repairs[claims[first]] = claimed
    is_missed = ~is_found
    is_missed[claimed] = False
    return Errors(kinds, repairs, is_missed)


def _of_image(objects, wrong, true):
    """Kinds, and the true objects they are about, of an image's mistakes."""
    ious = objects.overlaps(wrong, true)
    is_same = objects.labels[wrong][:, None] == objects.true_labels[true]
    own, own_place = _best(np.where(is_same, ious, 0.0))
    other, other_place = _best(np.where(is_same, 0.0, ious))
    conditions = {
        "localization": (own >= BACKGROUND) & (own < OVERLAP),
        "classification": other >= OVERLAP,
        "duplicate": own >= OVERLAP,
        "background": np.maximum(own, other) < BACKGROUND,
    }
    kinds = np.select(
        list(conditions.values()),
        [FALSE_KINDS.index(kind) for kind in conditions],
        FALSE_KINDS.index("both"),
    )
    targets = np.full(len(wrong), -1)
    for kind, places in (
        ("localization", own_place),
        ("classification", other_place),
    ):
        here = kinds == FALSE_KINDS.index(kind)
        targets[here] = true[places[here]]
    return kinds, targets


def _best(ious):
    """The highest IoU of each row, 0 if there is none, and its column."""
    if not ious.shape[1]:
        return np.zeros(len(ious)), np.zeros(len(ious), int)
    return ious.max(axis=1), ious.argmax(axis=1)


def error_costs(objects, errors):
    """How much higher AP50 were without the errors of a kind.

    Bolya et al. 2020 (TIDE), "Weighting the Errors": an oracle corrects one
    kind at a time. It gives a detection the right class or place, or removes
    it if the object is found already; removes detections of the kinds both,
    duplicate and background; and removes missed objects from those to find.
    Differences from the authors' code: as in COCO's AP, classes without true
    objects don't count, instead of as 0; and a class all of whose objects are
    missed counts as 1 without the missed ones, instead of 0.

    Returns:
        Dict of each of `KINDS` to a difference of AP50; NaN if there are no
        true objects.
    """
    before = mean_precision(
        objects.labels, objects.is_right, objects.num_objects()
    )
    return {kind: _repaired(objects, errors, kind) - before for kind in KINDS}


def _repaired(objects, errors, kind):
    labels, is_right = objects.labels.copy(), objects.is_right.copy()
    num_objects, is_kept = objects.num_objects(), np.ones(len(labels), bool)
    if kind == "missed":
        missed = objects.true_labels[errors.is_missed]
        left = num_objects - np.bincount(missed, minlength=len(num_objects))
        gone = (num_objects > 0) & (left == 0)
        mean = mean_precision(labels, is_right, left)
        rest = int((left > 0).sum())
        total = gone.sum() + (mean * rest if rest else 0.0)
        return total / (gone.sum() + rest) if len(missed) else mean
    is_kind = errors.is_kind(kind)
    is_repaired = is_kind & (errors.repairs >= 0)
    labels[is_repaired] = objects.true_labels[errors.repairs[is_repaired]]
    is_right |= is_repaired
    is_kept = ~is_kind | is_repaired
    return mean_precision(labels[is_kept], is_right[is_kept], num_objects)


def mean_precision(labels, is_right, num_objects):
    """COCO's average precision at one IoU, the mean over classes.

    Args:
        labels: (n,) of detections, the highest scores first.
        is_right: (n,) bool.
        num_objects: (K,) true objects; a class without any doesn't count.

    Returns:
        A number; NaN if there are no true objects.
    """
    values = [
        average_precision(is_right[labels == label], num_objects[label])
        for label in np.flatnonzero(num_objects)
    ]
    return float(np.mean(values)) if values else float("nan")


def average_precision(is_right, num_objects):
    """COCO's, of one class: the mean precision at the recalls 0, 0.01, ... 1.

    The precision at a recall is the highest one at this or a higher recall.
    """
    hits = np.cumsum(is_right)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / num_objects, np.linspace(0, 1, 101))
    return float(np.append(precision, 0.0)[places].mean())
