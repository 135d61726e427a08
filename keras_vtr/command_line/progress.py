"""What `train` prints while it trains: one line an epoch."""

import time

import keras
import numpy as np

BAR_WIDTH = 20


class EpochReport(keras.callbacks.Callback):
    """Reports each epoch with its numbers and the remaining time.

    On a terminal, a progress bar of the epoch is drawn below. It comes last of
    all callbacks, so that an epoch's time includes its evaluation.

    Args:
        printer: A `Printer`.
        monitor: The number that determines the best epoch, such as "val_AP".
            Of the numbers "val_..." it stands alone in the line.
        time_limit: Optional `TimeLimit` that may end the training.
    """

    def __init__(self, printer, monitor, time_limit=None):
        super().__init__()
        self.printer = printer
        self.monitor = monitor
        self.time_limit = time_limit

    def on_train_begin(self, logs=None):
        self._seconds = []
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._title = f"epoch {epoch + 1}/{self.params['epochs']}"

    def on_train_batch_end(self, batch, logs=None):
        if not self.printer.draws:  # numbers would wait for the device
            return
        steps = self.params["steps"]
        bar = "#" * round(BAR_WIDTH * (batch + 1) / steps)
        self.printer.draw(
            f"{self._title} [{bar:.<{BAR_WIDTH}}] {batch + 1}/{steps} "
            f"loss {float(logs['loss']):.4g}"
        )

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        self._seconds.append(now - self._began)
        self._began = now
        values = {name: float(value) for name, value in (logs or {}).items()}
        shown = [f"{k} {values[k]:.4g}" for k in shown_names(values, self)]
        seconds, remaining = self._seconds[-1], self._remaining(epoch)
        rest = f"{duration_text(seconds)}, remaining {duration_text(remaining)}"
        self.printer.report(
            "epoch",
            "  ".join([self._title, *shown, rest]),
            epoch=epoch + 1,
            epochs=self.params["epochs"],
            seconds=seconds,
            remaining_seconds=remaining,
            **values,
        )

    def _remaining(self, epoch):
        """Seconds; the first epoch, which is compiled, counts while alone."""
        mean = np.mean(self._seconds[1:] or self._seconds)
        remaining = float(mean) * (self.params["epochs"] - epoch - 1)
        if self.time_limit is not None:
            remaining = min(remaining, self.time_limit.seconds_left)
        return max(0.0, remaining)


def shown_names(values, report):
    """The loss, its terms and the monitored number.

    Left out are terms of further pairings, such as "denoising_label_loss", and
    of the validation all but the monitored number.
    """
    return [
        name
        for name in values
        if name == report.monitor
        or (
            not name.startswith("val_")
            and not any(name.endswith(f"_{x}") for x in values if x != "loss")
        )
    ]


def duration_text(seconds):
    """Such as "2 h 05 min", "12 min" or "8 s"."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{round(seconds)} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
