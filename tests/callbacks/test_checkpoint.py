import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import CheckpointError
from keras_vtr.callbacks.checkpoint_files import best_checkpoint
from tests.callbacks.run import EPOCHS
from tests.callbacks.run import STEPS
from tests.callbacks.run import train

pytestmark = pytest.mark.compiled


class Stop(keras.callbacks.Callback):
    """Raises an error after a number of steps."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if self.step == 0:
            raise InterruptedError
        self.step -= 1


def steps(folder):
    return sorted(path.name for path in folder.glob("step-*"))


def assert_same_weights(one, other):
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Model and history of an uninterrupted run."""
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop", [3, 4, 9, 10, 11, 17, 20, 25, 29])
def test_a_resumed_run_equals_an_uninterrupted_one(stop, whole, tmp_path):
    with pytest.raises(InterruptedError):
        train(tmp_path, every_steps=2, callbacks=[Stop(stop)])
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.num_steps == max(stop // 2 * 2, stop // STEPS * STEPS)
    model, history = train(tmp_path, every_steps=2)
    assert_same_weights(model, whole[0])
    # The loss of an epoch is the mean of all its steps, before and after.
    losses = whole[1]["loss"]
    assert history["loss"] == losses[-len(history["loss"]) :]


def test_a_finished_run_can_be_made_longer(whole, tmp_path):
    train(tmp_path, epochs=2)
    model, _ = train(tmp_path)
    assert_same_weights(model, whole[0])
    again, history = train(tmp_path)
    assert not history
    assert_same_weights(again, model)


class AddPrecision(keras.callbacks.Callback):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_AP"] = self.values[epoch]


@pytest.mark.parametrize(("mode", "best"), [("max", 20), ("min", 60)])
def test_the_newest_and_the_best_stay(mode, best, tmp_path):
    values = [0.2, 0.5, 0.3, 0.3, 0.2, 0.1, 0.3, 0.2]
    train(
        tmp_path,
        epochs=8,
        callbacks=[AddPrecision(values)],
        keep=2,
        monitor="val_AP",
        mode=mode,
    )
    assert steps(tmp_path) == sorted(
        f"step-{n:09d}-end" for n in {best, 70, 80}
    )
    path, manifest = best_checkpoint(tmp_path, mode)
    assert manifest["num_steps"] == best and path.name.endswith("-end")


def test_a_name_that_is_not_in_the_logs_is_refused_and_the_epoch_kept(tmp_path):
    with pytest.raises(ValueError, match=r"monitor='AP'.*\['loss'\]"):
        train(tmp_path, monitor="AP")
    assert Checkpoint(tmp_path).num_steps == STEPS


def damaged(data, kind, sixteenth):
    """Cuts data off at a sixteenth of its length, or flips a bit there."""
    at = len(data) * sixteenth // 16
    if kind == "cut":
        return data[:at]
    at = min(at, len(data) - 1)
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_not_used(kind, whole, tmp_path):
    source = tmp_path / "source"
    train(source, epochs=2)
    newest = f"step-{2 * STEPS:09d}-end"
    for file in sorted((source / newest).iterdir()):
        for sixteenth in range(16):
            folder = tmp_path / "copy"
            shutil.copytree(source, folder)
            data = file.read_bytes()
            broken = folder / newest / file.name
            broken.write_bytes(damaged(data, kind, sixteenth))
            with pytest.warns(RuntimeWarning, match="Not used"):
                assert Checkpoint(folder).num_steps == STEPS
            if sixteenth == 7:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    assert_same_weights(train(folder)[0], whole[0])
            shutil.rmtree(folder)


def test_if_all_checkpoints_are_damaged_training_does_not_start(tmp_path):
    train(tmp_path, epochs=1)
    for path in tmp_path.glob("step-*"):
        (path / "state.safetensors").unlink()
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(CheckpointError, match="Train in another folder"),
    ):
        Checkpoint(tmp_path)


def test_another_model_is_refused_and_stays_as_it_is(tmp_path):
    train(tmp_path, epochs=1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.raises(CheckpointError, match="is of another model"):
        model.fit(
            np.zeros((4, 5)),
            np.zeros((4, 1)),
            callbacks=[Checkpoint(tmp_path)],
            verbose=0,
        )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_full_disk_gives_a_warning_and_changes_nothing(tmp_path, monkeypatch):
    train(tmp_path, epochs=1)
    before = steps(tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    place = "keras_vtr.callbacks.checkpoint_files.save_file"
    monkeypatch.setattr(place, full)
    with (
        pytest.warns(RuntimeWarning, match="20 could not be saved.*No space"),
        pytest.raises(CheckpointError, match="The model is still in memory"),
    ):
        train(tmp_path, epochs=2)
    assert steps(tmp_path) == before
    assert not list(tmp_path.glob(".writing-*"))


class Remove(keras.callbacks.Callback):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            shutil.rmtree(self.folder)


def test_a_deleted_folder_is_created_again(whole, tmp_path):
    folder = tmp_path / "run"
    model, _ = train(folder, callbacks=[Remove(folder)])
    assert_same_weights(model, whole[0])
    assert Checkpoint(folder).num_steps == STEPS * EPOCHS


@pytest.mark.any_backend
def test_two_processes_do_not_share_a_folder(tmp_path):
    first = Checkpoint(tmp_path)
    program = (
        "import pathlib, sys\n"
        "from keras_vtr.callbacks import Checkpoint\n"
        "Checkpoint(pathlib.Path(sys.argv[1]))"
    )
    run = [sys.executable, "-c", program, tmp_path]
    root = pathlib.Path(__file__).parents[2]
    second = subprocess.run(run, capture_output=True, text=True, cwd=root)
    assert second.returncode == 1
    assert "CheckpointError: Another process uses" in second.stderr
    assert first.num_steps == 0


class Terminate(keras.callbacks.Callback):
    def __init__(self, epoch, step, in_validation=False):
        super().__init__()
        self.place = epoch, step
        self.in_validation = in_validation

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place and not self.in_validation:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.place[0] and self.in_validation:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("in_validation", [False, True])
def test_sigterm_saves_and_exits_with_0(in_validation, whole, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, callbacks=[Terminate(1, 4, in_validation)])
    assert stopped.value.code == 0
    assert signal.getsignal(signal.SIGTERM) == before
    done = 2 * STEPS if in_validation else STEPS + 5
    assert Checkpoint(tmp_path).num_steps == done
    assert_same_weights(train(tmp_path)[0], whole[0])


@pytest.fixture
def received():
    """The SIGTERMs that a handler of the user's has received."""
    signals = []
    before = signal.signal(signal.SIGTERM, lambda *_: signals.append(1))
    yield signals
    signal.signal(signal.SIGTERM, before)


def fail_in_fit(folder):
    with pytest.raises(InterruptedError):
        train(folder, callbacks=[Stop(3)])


def test_after_an_error_sigterm_is_what_it_was(received, tmp_path):
    def fit():  # of the user's, not Keras's
        fail_in_fit(tmp_path)
        os.kill(os.getpid(), signal.SIGTERM)

    fit()
    assert received


def test_a_second_sigterm_goes_to_the_handler_before(received, tmp_path):
    fail_in_fit(tmp_path)  # leaves a handler
    twice = [Terminate(0, 4), Terminate(0, 4)]
    with pytest.raises(SystemExit):
        train(tmp_path, callbacks=twice)
    assert len(received) == 1


def test_sigterm_as_training_ends_exits_and_a_later_one_is_passed_on(
    received, tmp_path
):
    def terminate(logs=None):
        os.kill(os.getpid(), signal.SIGTERM)

    last = keras.callbacks.LambdaCallback(on_train_end=terminate)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, callbacks=[last])
    assert stopped.value.code == 0 and not received
    terminate()
    assert received


@pytest.mark.any_backend
def test_the_sums_are_those_of_sha256sum(tmp_path):
    train(tmp_path, epochs=1)
    (path,) = tmp_path.glob("step-*")
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=path, check=True)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["num_steps"] == STEPS and manifest["epoch"] == 1


@pytest.mark.parametrize(
    "options", [{"keep": 0}, {"mode": "best"}, {"every_steps": 0}]
)
def test_arguments_are_checked(options, tmp_path):
    with pytest.raises(ValueError, match="Received: "):
        Checkpoint(tmp_path, **options)


def test_a_later_fit_without_checkpoint_leaves_sigterm_alone(
    received, tmp_path
):
    fail_in_fit(tmp_path)  # leaves a handler
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    kill = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGTERM)
    )
    model.fit(np.ones((2, 2)), np.ones(2), callbacks=[kill], verbose=0)
    assert received
