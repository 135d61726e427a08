"""The least scores of detections: one, or one for each class."""

import collections
import collections.abc

import numpy as np

from keras_vtr.detection_checks import check_threshold


def class_thresholds(score_threshold, num_classes, class_names=None):
    """Reads the threshold of all classes, or those of each.

    Args:
        score_threshold: A number within [0, 1] for all classes; K of them, in
            the classes' order; or a dict with the name of each class. Classes
            whose name is None aren't used and have no place in it.
        num_classes: K.
        class_names: K names, None for a class that isn't used; needed for a
            dict.

    Returns:
        The number, or (K,) float64; 1 for a class that isn't used.

    Raises:
        ValueError: If a number is not within [0, 1], there are other than K of
            them, or a dict lacks a class or names one that isn't there.

    Example:

    >>> thresholds = keras_vtr.detections.class_thresholds(
    ...     {"dog": 0.4, "cat": 0.7}, 2, class_names=["cat", "dog"]
    ... )
    >>> print(thresholds.tolist())
    [0.7, 0.4]
    """
    if isinstance(score_threshold, collections.abc.Mapping):
        score_threshold = _by_class(score_threshold, class_names)
    thresholds = _as_array(score_threshold)
    if thresholds.ndim == 0:
        check_threshold(score_threshold)
        return score_threshold
    if thresholds.shape != (num_classes,):
        raise ValueError(
            "`score_threshold` must be one number, or one for each of the "
            f"{num_classes} classes. Received: {score_threshold!r:.160}"
        )
    wrong = np.flatnonzero(~((thresholds >= 0) & (thresholds <= 1)))  # NaN, too
    if len(wrong):
        raise ValueError(
            "`score_threshold` must be within [0, 1]. Received: "
            f"{thresholds[wrong[0]]} for class {wrong[0]}"
            + (f" ({class_names[wrong[0]]})" if class_names else "")
        )
    return thresholds


def thresholds_by_name(thresholds, class_names):
    """The inverse of `class_thresholds`, for JSON.

    Returns:
        A number; or a dict by name, or a list if a class has no name, or two
        have the same one.
    """
    thresholds = np.asarray(thresholds, "float64").tolist()
    if isinstance(thresholds, float) or class_names is None:
        return thresholds
    if len({*class_names} - {None}) < len(class_names):
        return thresholds
    return dict(zip(class_names, thresholds, strict=True))


def _as_array(score_threshold):
    try:
        return np.asarray(score_threshold, "float64")
    except (TypeError, ValueError):
        raise ValueError(
            "`score_threshold` must be a number within [0, 1], one for each "
            "class, or a dict of them by the classes' names. Received: "
            f"score_threshold={score_threshold!r:.160}"
        ) from None


def _by_class(thresholds, class_names):
    """A list in the order of the classes."""
    if class_names is None:
        raise ValueError(
            "`score_threshold` must hold numbers, in the order of the classes, "
            "where the classes have no names. Received: "
            f"score_threshold={thresholds!r:.160}"
        )
    used = collections.Counter(name for name in class_names if name is not None)
    for problem, names in (
        ("The model has no class", [x for x in thresholds if x not in used]),
        ("There is none for", [x for x in used if x not in thresholds]),
        ("The model has twice", [x for x in used if used[x] > 1]),
    ):
        if names:
            raise ValueError(
                "`score_threshold` as a dict must hold each class of the model "
                f"once, by its name. {problem} "
                f"{', '.join(map(repr, names[:5]))}; its classes are "
                f"{list(class_names)!s:.160}"
            )
    return [1.0 if x is None else thresholds[x] for x in class_names]
