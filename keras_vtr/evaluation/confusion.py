"""Which class is taken for which."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from keras_vtr.evaluation.objects import OVERLAP

# Of two pairs that overlap equally, the one of the same class is taken.
PREFERENCE = 1e-6


def confusion_matrix(objects):
    """Counts pairs of true and found objects by their classes.

    The detections and the true objects of an image are paired across classes,
    those that overlap by an IoU of 0.5 or more, so that the sum of IoUs is the
    highest (`scipy.optimize.linear_sum_assignment`). COCO's matching within
    each class can't tell which class an object was taken for.

    Args:
        objects: The `MatchedObjects`, without detections below a threshold.

    Returns:
        (K + 1, K + 1) integers: rows true, the last one "nothing there";
        columns found, the last one "missed".
    """
    size = objects.num_classes + 1
    counts = np.zeros((size, size), "int64")
    is_seen = np.zeros(len(objects.true_labels), bool)
    for found, true in objects.by_image():
        is_paired = np.zeros(len(found), bool)
        ious = objects.overlaps(found, true)
        is_same = objects.labels[found][:, None] == objects.true_labels[true]
        gains = np.where(ious >= OVERLAP, ious + PREFERENCE * is_same, 0.0)
        for i, j in zip(
            *linear_sum_assignment(gains, maximize=True), strict=True
        ):
            if ious[i, j] >= OVERLAP:
                is_paired[i] = is_seen[true[j]] = True
                row = objects.true_labels[true[j]]
                counts[row, objects.labels[found[i]]] += 1
        np.add.at(counts[-1], objects.labels[found[~is_paired]], 1)
    np.add.at(counts[:, -1], objects.true_labels[~is_seen], 1)
    return counts
