"""How `train` fits a model: its data, its end, what it prints and logs."""

import argparse
import importlib.util
import re
import warnings

import keras

import keras_vtr_command
from keras_vtr.callbacks import EarlyStopping
from keras_vtr.callbacks import TimeLimit
from keras_vtr.callbacks import TimeLimitReached
from keras_vtr.command_line.progress import EpochReport

# Options that may change when a run is resumed: it stays the same run.
OF_PROCESS = ("time_limit", "tensorboard")


def add_arguments(parser):
    add = parser.add_argument
    tried = "check data and options, train one step, write nothing"
    add("--dry-run", action="store_true", help=tried)
    rare = (
        "repeat images with classes that fewer than this share of the images "
        "have (LVIS), such as 0.1"
    )
    add("--repeat-rare", type=float, metavar="SHARE", help=rare)
    well_inside = (
        "such as 2h, 90m or 1h30m: training ends before, so that evaluation "
        "and saving fit; run again, it goes on. The learning rate's schedule "
        "doesn't know the limit"
    )
    add("--time-limit", type=duration, metavar="TIME", help=well_inside)
    waited = "end after this many epochs without a better AP or accuracy"
    add("--early-stopping", type=int, metavar="EPOCHS", help=waited)
    events = "write TensorBoard's events into tensorboard/, too"
    add("--tensorboard", action="store_true", help=events)


def duration(text):
    """Seconds of a text such as "2h", "90m", "45s" or "1h30m"."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    parts = found.groups("0") if found else ()
    total = sum(
        int(number) * unit
        for number, unit in zip(parts, (3600, 60, 1), strict=False)
    )
    if not total:
        raise argparse.ArgumentTypeError(
            "must be a time above 0, such as 2h, 90m, 45s or 1h30m. "
            f"Received: {text!r}"
        )
    return total


class Fitting:
    """The end, the lines and the logs of a training.

    Args:
        checkpoint: The `Checkpoint` of the run, with a `monitor`.
        folder: `pathlib.Path` of the run.
        printer: A `Printer`.
        options: Dict of the options of `train`.
        evaluation_steps: Batches of the validation.

    Raises:
        ValueError: If an option is out of its range, or TensorBoard is not
            installed.
    """

    def __init__(self, checkpoint, folder, printer, options, evaluation_steps):
        self.printer = printer
        self.ends, limit = [], None
        if options["early_stopping"] is not None:
            patience = options["early_stopping"]
            self.ends.append(EarlyStopping(checkpoint, patience))
        if options["time_limit"] is not None:
            limit = TimeLimit(
                options["time_limit"],
                checkpoint,
                evaluation_steps=evaluation_steps,
                start=keras_vtr_command.STARTED,
            )
            self.ends.append(limit)
        report = EpochReport(printer, checkpoint.monitor, limit)
        self.callbacks = [checkpoint, *self.ends, report]
        if options["tensorboard"]:
            self.callbacks.append(_tensorboard(folder / "tensorboard"))

    def fit(self, model, batches, callbacks, **options):
        """`model.fit`, with these callbacks after others."""
        try:
            # Keras 3.15 warns at each end of data of unknown length. Those of
            # training never end, those of validation may lack broken pictures.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Your input ran out of data")
                model.fit(
                    batches,
                    shuffle=False,
                    verbose=0,
                    callbacks=[*callbacks, *self.callbacks],
                    **options,
                )
        except TimeLimitReached:
            pass  # its reason is told below, as of other ends
        for reason in filter(None, (x.reason for x in self.ends)):
            self.printer.report("stopped", f"Stopped: {reason}.", reason=reason)


def _tensorboard(folder):
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "--tensorboard needs TensorBoard: `pip install tensorboard`."
        )
    return keras.callbacks.TensorBoard(str(folder), write_graph=False)
