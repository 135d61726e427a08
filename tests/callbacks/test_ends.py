import types

import keras
import numpy as np
import pytest

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import EarlyStopping
from keras_vtr.callbacks import TimeLimit
from keras_vtr.callbacks import TimeLimitReached
from keras_vtr.callbacks.checkpoint_files import whole_checkpoints


class Score(keras.callbacks.Callback):
    """Adds a value to each epoch's logs; `wait` seconds pass meanwhile."""

    def __init__(self, values=(), clock=None, step=0, wait=0):
        super().__init__()
        self.values, self.clock, self.step, self.wait = (
            values,
            clock,
            step,
            wait,
        )

    def on_train_batch_end(self, batch, logs=None):
        if self.clock:
            self.clock.now += self.step

    def on_epoch_end(self, epoch, logs=None):
        if self.clock:
            self.clock.now += self.wait
        else:
            logs["AP"] = self.values[epoch]


def fit(*callbacks, epochs=8):
    """Four steps an epoch. Returns the epochs' numbers."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2)), np.ones((4, 1))
    options = {"epochs": epochs, "batch_size": 1, "verbose": 0}
    return model.fit(x, y, callbacks=[*callbacks], **options).epoch


def test_a_resumed_training_stops_where_an_uninterrupted_one_does(tmp_path):
    score = Score([0.0, 0.2, 0.1, 0.2, np.nan, 0.3, 0.3, 0.3])

    def stopping(folder, patience=3):
        checkpoint = Checkpoint(folder, monitor="AP")
        return checkpoint, EarlyStopping(checkpoint, patience)

    checkpoint, early = stopping(tmp_path / "whole")
    assert fit(score, checkpoint, early) == [0, 1, 2, 3, 4]
    assert early.reason == "AP has not improved for 3 epochs"
    assert fit(score, *stopping(tmp_path / "killed"), epochs=4) == [0, 1, 2, 3]
    assert fit(score, *stopping(tmp_path / "killed")) == [4]
    assert fit(score, *stopping(tmp_path / "killed")) == []
    assert fit(score, *stopping(tmp_path / "killed", 4))[:2] == [5, 6]
    for monitor, patience in ((None, 1), ("AP", 0)):
        checkpoint = Checkpoint(tmp_path / "x", monitor=monitor)
        with pytest.raises(ValueError, match="`patience` must be 1 or more"):
            EarlyStopping(checkpoint, patience)


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    fake = types.SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr("keras_vtr.callbacks.time_limit.time", fake)
    return clock


@pytest.mark.parametrize(
    ("seconds", "num_epochs"),
    # An epoch has 4 steps of 10 seconds and an evaluation of 20. The third
    # ends after 180, and 66 for a fourth, 20 for what follows, and a twentieth
    # of the limit make 280.0.
    [(279, 3), (281, 4), (10000, 8)],
)
def test_an_epoch_that_would_not_fit_is_not_begun(seconds, num_epochs, clock):
    limit = TimeLimit(seconds)
    assert len(fit(Score((), clock, 10, 20), limit)) == num_epochs
    assert (limit.reason is None) == (num_epochs == 8)
    assert clock.now + 20 < 0.95 * seconds


def test_a_first_epoch_that_does_not_fit_is_saved_at_a_step(tmp_path, clock):
    def timed(seconds, **options):
        clock.now = 0.0
        checkpoint = Checkpoint(tmp_path)
        limit = TimeLimit(seconds, checkpoint, **options)
        return Score((), clock, 10, 20), checkpoint, limit

    with pytest.raises(TimeLimitReached, match="a further step"):
        fit(*timed(30))
    _, manifest = next(whole_checkpoints(tmp_path))
    assert (manifest["steps_in_epoch"], manifest["epoch"]) == (2, 0)
    assert clock.now == 20
    # Four more steps, of which two were done before, and an evaluation that is
    # taken to last as long as three steps.
    with pytest.raises(TimeLimitReached):
        fit(*timed(73, evaluation_steps=3))
    _, manifest = next(whole_checkpoints(tmp_path))
    assert (manifest["steps_in_epoch"], manifest["epoch"]) == (4, 0)
    assert fit(*timed(10000), epochs=2) == [0, 1]


def test_a_time_limit_that_is_over_is_refused(clock):
    with pytest.raises(ValueError, match="seconds=0"):
        TimeLimit(0)
    with pytest.raises(ValueError, match=r"15 seconds, 20 of them are over"):
        fit(TimeLimit(15, start=-20))
