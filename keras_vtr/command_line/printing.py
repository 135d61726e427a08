"""What a command prints: for people, for scripts, or nothing."""

import contextlib
import sys
import time
import warnings

from keras_vtr.json_text import json_text

REDRAW_SECONDS = 0.1


def printer_of(quiet, json):
    """The printer that the options ask for."""
    if quiet:
        return QuietPrinter()
    if json:
        return JsonPrinter()
    return TerminalPrinter() if sys.stdout.isatty() else Printer()


class Printer:
    """Prints lines for people: reports to stdout, errors to stderr."""

    draws = False  # whether `draw` does anything

    def report(self, event, text=None, **values):
        """Tells what has been done.

        Args:
            event: Its kind, such as "epoch", for scripts.
            text: For people, or None if it is of no interest to them.
            **values: What the text says, for scripts.
        """
        if text is not None:
            print(text, flush=True)

    def draw(self, text):
        """Shows how far the work is, until the next line replaces it."""

    def warn(self, text):
        print(f"keras-vtr: warning: {text}", file=sys.stderr)

    def error(self, text):
        print(f"keras-vtr: {text}", file=sys.stderr)

    def show_warning(self, message, category, *_, **__):
        """In place of `warnings.showwarning`: without a line of code."""
        self.warn(message)


class TerminalPrinter(Printer):
    """Has a last line, such as a progress bar, that is drawn again."""

    draws = True

    def __init__(self):
        self._is_drawn = False
        self._drawn_at = -REDRAW_SECONDS

    def report(self, event, text=None, **values):
        if text is not None:
            self._clear()
        super().report(event, text, **values)

    def draw(self, text):
        now = time.monotonic()
        if now - self._drawn_at >= REDRAW_SECONDS:
            self._clear()
            print(text, end="", flush=True)
            self._is_drawn, self._drawn_at = True, now

    def warn(self, text):
        self._clear()
        super().warn(text)

    def error(self, text):
        self._clear()
        super().error(text)

    def _clear(self):
        if self._is_drawn:  # ECMA-48: erase in line
            print("\r\x1b[2K", end="", flush=True)
        self._is_drawn = False


class QuietPrinter(Printer):
    """Prints warnings and errors alone."""

    def report(self, event, text=None, **values):
        pass


class JsonPrinter(Printer):
    """Prints a JSON object a line to stdout; errors to stderr, too."""

    def report(self, event, text=None, **values):
        print(json_text({"event": event, **values}, indent=None), flush=True)

    def warn(self, text):
        super().warn(text)
        self.report("warning", message=str(text))

    def error(self, text):
        super().error(text)
        self.report("error", message=str(text))


@contextlib.contextmanager
def own_warnings(printer):
    """Within the context, warnings are lines of the printer."""
    with warnings.catch_warnings():
        warnings.showwarning = printer.show_warning
        yield
