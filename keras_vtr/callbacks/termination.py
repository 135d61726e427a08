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
    therefore looks for its own `fit` there, and passes other SIGTERMs on.

    Python sets signal handlers in the main thread only. In another thread
    SIGTERM is not recorded.
    """

    def __init__(self):
        self.is_requested = False
        self.fit = _running_fit(inspect.currentframe())
        previous = signal.getsignal(signal.SIGTERM)
        other = getattr(previous, "__self__", None)
        if isinstance(other, Termination):  # of a `fit` that raised
            other.release()
        try:
            previous = signal.signal(signal.SIGTERM, self._handle)
        except ValueError:  # not the main thread
            return
        # None is a handler set in C, which Python can't restore.
        self._previous = signal.SIG_DFL if previous is None else previous

    def release(self):
        """Restores the previous handler, unless ours was replaced."""
        self.fit = None
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number, frame):
        is_running = self.fit is not None and self.fit is _running_fit(frame)
        if is_running and not self.is_requested:
            self.is_requested = True
        else:
            self.release()
            signal.raise_signal(number)


def _running_fit(frame):
    """The frame of Keras's `fit` among the callers of a frame, or None."""
    fit = inspect.unwrap(keras.Model.fit).__code__
    frames = (x for x, _ in traceback.walk_stack(frame))
    return next((x for x in frames if x.f_code is fit), None)
