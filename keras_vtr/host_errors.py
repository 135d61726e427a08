"""Raises the original errors of Python functions that a graph calls.

TensorFlow raises its own error instead, "Graph execution error:", with the
reason somewhere in its text. So the original error is stored when raised.
"""

import collections
import contextlib
import copy
import functools

_raised = collections.deque(maxlen=16)  # prefetching may fail several times


def remembered(function):
    """Stores the function's errors, so that `own_errors` can raise them."""

    @functools.wraps(function)
    def call(*values):
        try:
            return function(*values)
        except Exception as error:
            _raised.append(copy.copy(error))  # without the arrays of its frames
            raise

    return call


@contextlib.contextmanager
def own_errors():
    """Raises a `remembered` error instead of TensorFlow's error with its text.

    A context manager or a decorator.
    """
    try:
        yield
    except Exception as error:
        for reason in [*_raised]:
            if reason is not error and str(reason) in str(error):
                raise reason from error
        raise
