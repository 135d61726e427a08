"""Callbacks count steps, not executions of several (`steps_per_execution`)."""

import keras
import numpy as np
import pytest

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import CheckpointError
from keras_vtr.callbacks import NonFiniteError
from keras_vtr.callbacks import SkipNonFinite

pytestmark = pytest.mark.compiled
STEPS = 10


def fit(steps_per_execution, callbacks, poisoned=(), steps=STEPS, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.Adam(0.01),
        "mse",
        steps_per_execution=steps_per_execution,
    )
    x = np.random.default_rng(0).normal(size=(steps, 2)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    y[list(poisoned)] = np.nan
    options = {"batch_size": 1, "shuffle": False, "verbose": 0, **options}
    model.fit(x, y, callbacks=callbacks, **options)
    return model


@pytest.mark.parametrize("poisoned", [[0, 1, 3, 4, 9], [5, 6], []])
def test_skipped_steps_are_counted_one_by_one(poisoned):
    guards = [SkipNonFinite(most=3) for _ in range(2)]
    one, four = (
        fit(n, [guard], poisoned)
        for n, guard in zip((1, 4), guards, strict=True)
    )
    assert [guard.num_skipped for guard in guards] == [len(poisoned)] * 2
    for a, b in zip(one.get_weights(), four.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("poisoned", [[1, 2, 3], [2, 3, 4, 5], [6, 7, 8]])
@pytest.mark.parametrize("n", [1, 4])
def test_many_in_a_row_end_it_at_their_step_with_the_weights_before(
    n, poisoned
):
    before = fit(1, [], steps=poisoned[0])
    guard = SkipNonFinite(most=3, images=lambda step: [step])
    message = rf"step {poisoned[2] + 1}: 3 steps.*\[{poisoned[2]}\]"
    with pytest.raises(NonFiniteError, match=message):
        fit(n, [guard], poisoned)
    assert guard.num_skipped == 3
    pairs = zip(before.get_weights(), guard.model.get_weights(), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_compiled_loss_scale_optimizer_is_counted_and_keeps_its_scale():
    for n in (1, 4):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.01), initial_scale=2.0**10
        )
        model.compile(scaler, "mse", steps_per_execution=n)
        y = np.ones((8, 1))
        y[[1, 3]] = np.nan
        guard = SkipNonFinite(most=2)
        model.fit(
            np.ones((8, 2)),
            y,
            batch_size=1,
            shuffle=False,
            verbose=0,
            callbacks=[guard],
        )
        assert guard.num_skipped == 2 and model.optimizer is scaler
        assert float(scaler.dynamic_scale) == 2.0**8


def test_a_model_saved_within_fit_can_be_fitted_again(tmp_path):
    path = tmp_path / "model.keras"
    save = keras.callbacks.ModelCheckpoint(path)
    fit(1, [SkipNonFinite(), save], [2])
    model, guard = keras.models.load_model(path), SkipNonFinite()
    y = np.array([[np.nan]])
    model.fit(np.ones((1, 2)), y, verbose=0, callbacks=[guard])
    assert guard.num_skipped == 1
    assert isinstance(model.optimizer, keras.optimizers.Adam)


class Watched(Checkpoint):
    """Records when it saves."""

    def save(self):
        steps = self._manifest["steps_in_epoch"]
        self.__dict__.setdefault("saved", []).append((self.num_steps, steps))
        super().save()


@pytest.mark.parametrize(
    ("n", "saved"),
    [
        (1, [(5, 5), (10, 10), (10, 0), (15, 5), (20, 10), (20, 0)]),
        (3, [(6, 6), (10, 10), (10, 0), (16, 6), (20, 10), (20, 0)]),
        (4, [(8, 8), (10, 10), (10, 0), (18, 8), (20, 10), (20, 0)]),
    ],
)
def test_it_saves_at_the_first_end_of_an_execution_after_each_multiple(
    n, saved, tmp_path
):
    checkpoint = Watched(tmp_path, every_steps=5)
    fit(n, [checkpoint], epochs=2)
    assert checkpoint.saved == saved


def rows(start):
    """Endless data, beginning at a step."""
    while True:
        x = np.random.default_rng(start).normal(size=(1, 2))
        yield x, x.sum(axis=1, keepdims=True)
        start += 1


def fit_rows(folder, execution=4, callbacks=()):
    checkpoint = Watched(folder, every_steps=5)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "mse", steps_per_execution=execution
    )
    options = {"epochs": 2, "verbose": 0, "shuffle": False}
    model.fit(
        rows(checkpoint.num_steps),
        steps_per_epoch=STEPS,
        callbacks=[checkpoint, *callbacks],
        **options,
    )
    return model, checkpoint


def test_the_last_execution_of_endless_data_is_counted_in_full(tmp_path):
    model, checkpoint = fit_rows(tmp_path)
    assert int(model.optimizer.iterations) == checkpoint.num_steps == 24


@pytest.mark.parametrize("batch", [3, 7, 11])
def test_a_run_resumes_within_an_epoch_of_executions(batch, tmp_path):
    def stop(at, logs):
        if at == batch:
            raise InterruptedError

    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(InterruptedError):
        fit_rows(tmp_path, callbacks=[stopping])
    done = Checkpoint(tmp_path).num_steps
    assert done == {3: 0, 7: 8, 11: 12}[batch]
    if done:
        with pytest.raises(CheckpointError, match="within an execution of 5"):
            fit_rows(tmp_path, execution=5)
    model, checkpoint = fit_rows(tmp_path)
    whole, _ = fit_rows(tmp_path / "whole")
    assert checkpoint.num_steps == 24
    for a, b in zip(model.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_steps_that_cannot_be_counted_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    rows = ((np.ones((1, 2)), np.ones((1, 1))) for _ in range(5))
    with pytest.raises(ValueError, match="`steps_per_epoch` must be given"):
        model.fit(
            rows, shuffle=False, verbose=0, callbacks=[Checkpoint(tmp_path)]
        )
