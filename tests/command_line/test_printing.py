import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vtr_command
from keras_vtr.command_line.fitting import Fitting
from keras_vtr.command_line.fitting import duration
from keras_vtr.command_line.printing import JsonPrinter
from keras_vtr.command_line.printing import Printer
from keras_vtr.command_line.printing import QuietPrinter
from keras_vtr.command_line.printing import TerminalPrinter
from keras_vtr.command_line.printing import own_warnings
from keras_vtr.command_line.printing import printer_of
from keras_vtr.command_line.progress import EpochReport
from keras_vtr.command_line.progress import duration_text

ROOT = pathlib.Path(__file__).parents[2]
SILENT_AND_EAGER = """
import runpy, sys, keras_vtr_command
with keras_vtr_command.silence():
    import tests.eager
sys.exit(keras_vtr_command.main())
"""


def program(*command):
    """A process as a user starts it, without this one's environment."""
    environment = {**os.environ}
    environment.pop(keras_vtr_command.LEVEL, None)
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_training_prints_its_own_lines_and_nothing_else(folder, tmp_path):
    run = tmp_path / "run"
    options = ("--config", folder / "small.yaml", "--output", run)
    options += ("--time-limit", "1h", "--early-stopping", "1", "--tensorboard")
    options += ("--repeat-rare", "0.2")
    arguments = ("-c", SILENT_AND_EAGER, "train", folder, *options)
    found = program(*arguments, "--epochs", "1")
    assert (found.returncode, found.stderr) == (0, "")
    *_, steps, epoch, model = found.stdout.splitlines()
    assert steps == "0 steps are done."
    number = r" [-+.e\d]+"
    assert re.fullmatch(
        rf"epoch 1/1(  (\w+_)?(loss|error){number}){{6}}  val_AP{number}  "
        r"\d+ (s|min), remaining 0 s",
        epoch,
    )
    assert model == f"{run / 'model.keras'}: epoch 1"
    assert list((run / "tensorboard").glob("*/events*"))
    found = program(*arguments, "--epochs", "1", "--time-limit", "2h", "--json")
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.stderr == ""
    assert [x["event"] for x in events] == ["data", "resumed", "model", "done"]


def test_help_comes_without_tensorflow():
    check = "import keras_vtr_command as c, sys\ntry:\n    c.main()\n"
    check += "finally:\n    print({'keras', 'tensorflow'} & {*sys.modules})"
    for arguments, code in ((("--help",), 0), (("trian",), 2), ((), 2)):
        found = program("-c", check, *arguments)
        assert found.returncode == code
        assert found.stdout.endswith("set()\n"), found
    assert "invalid choice" in program("-c", check, "trian").stderr


def test_what_was_held_back_is_shown_if_the_import_fails(capfd, monkeypatch):
    monkeypatch.setenv(keras_vtr_command.LEVEL, "0")
    with keras_vtr_command.silence():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), keras_vtr_command.silence():
        os.write(2, b"the reason\n")
        raise ImportError("keras")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "the reason\nlater\n"


def use(printer):
    """What it prints to stdout and to stderr."""
    streams = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        own_warnings(printer),
    ):
        printer.draw("[#..]")
        printer.report("epoch", "epoch 1", AP=float("nan"))
        printer.report("done")
        with warnings.catch_warnings(action="always"):
            warnings.warn("a.png is skipped", RuntimeWarning, stacklevel=1)
        printer.error("no file")
    return [x.getvalue() for x in streams]


def test_each_printer_prints_for_its_reader():
    errors = "keras-vtr: warning: a.png is skipped\nkeras-vtr: no file\n"
    assert use(Printer()) == ["epoch 1\n", errors]
    assert use(QuietPrinter()) == ["", errors]
    assert use(TerminalPrinter()) == ["[#..]\r\x1b[2Kepoch 1\n", errors]
    output, found = use(JsonPrinter())
    assert found == errors
    assert [json.loads(line) for line in output.splitlines()] == [
        {"event": "epoch", "AP": None},
        {"event": "done"},
        {"event": "warning", "message": "a.png is skipped"},
        {"event": "error", "message": "no file"},
    ]
    assert type(printer_of(quiet=True, json=False)) is QuietPrinter
    assert type(printer_of(quiet=False, json=False)) is Printer


class Evaluation(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs |= {"val_AP": 0.25, "val_AP50": 0.5, "denoising_loss": 1.0}


class Lines(Printer):
    draws = True

    def __init__(self):
        self.drawn, self.events = [], []

    def draw(self, text):
        self.drawn.append(text)

    def report(self, event, text=None, **values):
        self.events.append((text, values))


def test_an_epoch_is_a_line_with_the_monitored_number(monkeypatch):
    printer = Lines()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    clock = iter([0, 100, 130, 160])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    model.fit(
        np.zeros((4, 2)),
        np.zeros((4, 1)),
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=[Evaluation(), EpochReport(printer, "val_AP")],
    )
    monkeypatch.undo()
    texts = [text for text, _ in printer.events]
    assert texts[0] == (
        "epoch 1/3  loss 0  mae 0  val_AP 0.25  denoising_loss 1  100 s, "
        "remaining 3 min"
    )
    # The first epoch, which is compiled, does not count any longer.
    assert [x["remaining_seconds"] for _, x in printer.events] == [200, 30, 0]
    assert printer.events[2][1]["val_AP50"] == 0.5
    assert printer.drawn[2:4] == [
        "epoch 2/3 [##########..........] 1/2 loss 0",
        "epoch 2/3 [####################] 2/2 loss 0",
    ]


def test_validation_without_broken_pictures_ends_without_a_warning():
    """How many pictures are left is unknown before they are read."""
    checkpoint, printer = keras.callbacks.Callback(), Lines()
    checkpoint.monitor = "val_loss"
    options = {"early_stopping": None, "time_limit": None, "tensorboard": False}
    data = tf.data.Dataset.from_tensors((np.zeros((1, 2)), np.zeros((1, 1))))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    Fitting(checkpoint, ROOT, printer, options, 1).fit(
        model,
        data.repeat(),
        [],
        steps_per_epoch=1,
        epochs=2,
        validation_data=data.filter(lambda images, labels: True),
    )
    assert ["val_loss 0" in text for text, _ in printer.events] == [True] * 2


def test_times_are_read_and_written():
    for text, seconds in (
        ("2h", 7200),
        ("90m", 5400),
        ("45s", 45),
        ("1h30m", 5400),
    ):
        assert duration(text) == seconds
    for text in ("", "2", "0h", "1m2h", "-2h", "2 h", "1.5h"):
        with pytest.raises(argparse.ArgumentTypeError, match="such as 2h"):
            duration(text)
    assert [duration_text(x) for x in (8.4, 754, 7499)] == [
        "8 s",
        "13 min",
        "2 h 05 min",
    ]
