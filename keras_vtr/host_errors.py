"""Errors of Python functions that a graph calls come out as they were raised.

TensorFlow raises an error of its own instead, "Graph execution error:", with
the reason somewhere in its text. So the reason is kept where it is raised.
"""

import collections
import contextlib
import copy
import functools

_raised = collections.deque(maxlen=16)  # others may read ahead, and fail too


def remembered(function):
    """The function, whose errors `own_errors` raises again."""

    @functools.wraps(function)
    def call(*values):
        try:
            return function(*values)
        except Exception as error:
            _raised.append(copy.copy(error))  # without its frames' arrays
            raise

    return call


@contextlib.contextmanager
def own_errors():
    """Raises the error of a `remembered` function from TensorFlow's of it.

    For a `with` block, or as a decorator.
    """
    try:
        yield
    except Exception as error:
        for reason in [*_raised]:
            if reason is not error and str(reason) in str(error):
                raise reason from error
        raise
