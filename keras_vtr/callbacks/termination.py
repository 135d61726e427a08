"""SIGTERM, which schedulers send before they kill."""

import os
import signal
import threading


class Termination:
    """Notes a SIGTERM that comes within `fit`, so that the step can end.

    One that comes when `fit` is over, by an error, and a second one do what
    they did before.
    """

    def __init__(self):
        self.is_asked_for = False
        self._old_handler = None
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, self._handle)

    def release(self):
        """Leaves the signal to whom it was before."""
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)

    def _handle(self, number, frame):
        while frame is not None and frame.f_code.co_name != "fit":
            frame = frame.f_back
        if frame is not None and not self.is_asked_for:
            self.is_asked_for = True
            return
        signal.signal(number, self._old_handler)
        os.kill(os.getpid(), number)
