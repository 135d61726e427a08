"""The check of class names from users and files."""

import collections.abc
import numbers

import numpy as np


def check_class_names(class_names, num_classes=None, *, may_lack=True):
    """Reads the names of the classes 0..K-1.

    Args:
        class_names: A sequence of strings; or a dict of them whose keys are
            all of 0..K-1, as integers or as strings of digits, as in
            Ultralytics' data.yaml.
        num_classes: K, if it is known.
        may_lack: Whether None is allowed, for a class that isn't used.

    Returns:
        A tuple of K strings, stripped, or None.

    Raises:
        ValueError: If it is anything else.
    """
    names = class_names
    if isinstance(names, collections.abc.Mapping):
        names = _sort_by_class(names)
    if isinstance(names, np.ndarray):
        names = names.tolist()
    is_list = isinstance(names, collections.abc.Sequence)
    if not is_list or isinstance(names, (str, bytes, bytearray)):
        _refuse(num_classes, may_lack, repr(class_names)[:160])
    wrong = [x for x in names if not _is_name(x, may_lack)]
    if wrong or num_classes not in (None, len(names)):
        received = f"{len(names)} names, {list(wrong or names)[:3]!r:.160} ..."
        _refuse(num_classes, may_lack, received)
    return tuple(name and name.strip() for name in names)


def _sort_by_class(names):
    """The values in the order of the keys 0..K-1; None for other keys."""
    by_class = {
        int(key): name
        for key, name in names.items()
        if isinstance(key, numbers.Integral | str)
        and not isinstance(key, bool)
        and f"{key}".isdecimal()
    }
    if len(by_class) < len(names) or set(by_class) != set(range(len(names))):
        return None
    return [by_class[i] for i in range(len(names))]


def _is_name(name, may_lack):
    if name is None:
        return may_lack
    return isinstance(name, str) and bool(name.strip())


def _refuse(num_classes, may_lack, received):
    each = "class" if num_classes is None else f"of the {num_classes} classes"
    lacking = ", None where one isn't used" if may_lack else ""
    raise ValueError(
        f"`class_names` must be one string for each {each}{lacking}: a list, "
        "or a dict whose keys are all of 0 to K - 1. Received: "
        f"class_names={received}"
    )
