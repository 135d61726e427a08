"""SIGTERM, which schedulers send some seconds before they kill a process."""

import inspect
import signal
import traceback

import keras


class Termination:
    """Records a SIGTERM that arrives during `fit`, for the step to finish.

    The previous handler receives a second SIGTERM, and each one after
    `release`. An error that leaves `fit` calls no callback, so nothing calls
    `release` then; only the call stack shows that `fit` is over. The handler
    therefore checks it, and passes such a SIGTERM on, too.

    Python sets signal handlers in the main thread only. In another thread
    SIGTERM is not recorded.
    """

    def __init__(self):
        self.is_requested = False
        previous = signal.getsignal(signal.SIGTERM)
        left_over = getattr(previous, "__self__", None)
        if isinstance(left_over, Termination):  # of a `fit` that raised
            left_over.release()
        try:
            previous = signal.signal(signal.SIGTERM, self._handle)
        except ValueError:  # not the main thread
            return
        # None is a handler set in C, which Python can't restore.
        self._previous = signal.SIG_DFL if previous is None else previous

    def release(self):
        """Restores the previous handler, unless ours was replaced."""
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number, frame):
        if _is_fit_running(frame) and not self.is_requested:
            self.is_requested = True
        else:
            self.release()
            signal.raise_signal(number)


def _is_fit_running(frame):
    """Whether Keras's `fit` is among the callers of a stack frame."""
    fit = inspect.unwrap(keras.Model.fit).__code__
    return any(x.f_code is fit for x, _ in traceback.walk_stack(frame))
