import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import NonFiniteError
from keras_vtr.callbacks import SkipNonFinite
from keras_vtr.losses import HungarianLoss
from tests.callbacks.run import batches
from tests.callbacks.run import build
from tests.callbacks.run import train
from tests.tiny_models import IMAGE_SHAPE
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr

pytestmark = pytest.mark.compiled

fits_twice = pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="Keras 3.15.1 on JAX loses the EMA of `use_ema` after `fit`",
)


def data(poisoned, steps=12):
    rows = [(x.numpy(), y.numpy()) for x, y in batches(0).take(steps)]
    for step in poisoned:
        rows[step][0][0, 0] = np.nan
    return [np.concatenate(x) for x in zip(*rows, strict=True)]


def fit(model, rows, *callbacks, **options):
    return model.fit(
        *rows,
        batch_size=4,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
        **options,
    )


def test_without_a_fault_nothing_is_different():
    guarded, plain = build(), build()
    guard = SkipNonFinite()
    one, other = fit(guarded, data([]), guard), fit(plain, data([]))
    assert one.history == other.history and guard.num_skipped == 0
    for a, b in zip(guarded.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    assert isinstance(guarded.optimizer, keras.optimizers.AdamW)


@pytest.mark.parametrize("poisoned", [[0], [5], [2, 3, 7, 11]])
def test_a_poisoned_step_changes_no_weight_and_is_counted(poisoned):
    model, without = build(), build()
    for one in (model, without):  # dropout would take other seeds
        one.layers[1].rate = 0.0
    guard = SkipNonFinite(most=3)
    history = fit(model, data(poisoned), guard)
    assert guard.num_skipped == len(poisoned)
    x, y = data([])
    kept = [i for i in range(48) if i // 4 not in poisoned]
    expected = fit(without, (x[kept], y[kept])).history["loss"]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-6)
    for a, b in zip(model.weights, without.weights, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_many_in_a_row_end_the_run_with_the_step_and_its_images(tmp_path):
    model = build()
    guard = SkipNonFinite(most=3, images=lambda step: [f"{step}.jpg"])
    message = (
        r"Epoch 1, step 7: 3 steps in a row.*none of them changed the.*"
        r"images of this step: \['6.jpg'\]"
    )
    with pytest.raises(NonFiniteError, match=message):
        fit(
            model,
            data([1, 2, 4, 5, 6, 7]),
            guard,
            Checkpoint(tmp_path, every_steps=1),
        )
    assert all(np.isfinite(x).all() for x in model.get_weights())


@fits_twice
def test_a_model_can_be_fitted_again_after_a_run_and_after_its_error():
    model = build()
    fit(model, data([]), SkipNonFinite())
    fit(model, data([]))
    with pytest.raises(NonFiniteError):
        fit(model, data(range(12)), SkipNonFinite(most=2))
    # The error left the wrapper in the model.
    fit(model, data([3, 5]), SkipNonFinite(most=2))
    assert isinstance(model.optimizer, keras.optimizers.AdamW)


def test_statistics_that_became_nan_end_the_run_at_once():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError, match="moving_mean has become NaN"):
        fit(model, data([2]), SkipNonFinite())


def test_the_loss_scale_of_mixed_precision_is_kept():
    model = build()
    inner = keras.optimizers.SGD(0.01)
    scaler = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**10)
    model.compile(scaler, "mse")
    guard = SkipNonFinite()
    fit(model, data([4]), guard)
    assert guard.num_skipped == 1 and model.optimizer is scaler
    assert float(scaler.dynamic_scale) == 2.0**9


def test_a_scale_that_a_checkpoint_restores_is_no_skipped_step(tmp_path):
    for poisoned, expected in (([4], 1), ([], 0)):
        model = build()
        inner = keras.optimizers.SGD(0.01)
        model.compile(
            keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**10),
            "mse",
        )
        guard, checkpoint = SkipNonFinite(), Checkpoint(tmp_path)
        epochs = checkpoint.epoch + 1
        fit(model, data(poisoned), guard, checkpoint, epochs=epochs)
        assert guard.num_skipped == expected
        assert float(model.optimizer.dynamic_scale) == 2.0**9


@pytest.mark.parametrize("guarded", [(False, True), (True, False)])
def test_a_run_resumes_with_it_or_without(guarded, tmp_path):
    whole, _ = train(tmp_path / "whole", epochs=2)
    for epochs, is_guarded in zip((1, 2), guarded, strict=True):
        callbacks = [SkipNonFinite()] if is_guarded else []
        model, _ = train(tmp_path / "run", epochs=epochs, callbacks=callbacks)
    for a, b in zip(whole.variables, model.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


@pytest.mark.slow
def test_a_detector_survives_a_poisoned_batch(rng):
    backbone = keras.Sequential(
        [keras.Input(IMAGE_SHAPE), keras.layers.Conv2D(8, 4, 4)]
    )
    model = tiny_detr(backbone=backbone)
    optimizer = keras.optimizers.AdamW(1e-3, global_clipnorm=0.1)
    model.compile(optimizer, HungarianLoss())
    images, y_true = batch(rng, 6)
    images[2:4] = np.nan
    guard = SkipNonFinite()
    model.fit(
        images,
        y_true,
        batch_size=2,
        shuffle=False,
        verbose=0,
        callbacks=[guard],
    )
    assert guard.num_skipped == 1
    assert all(np.isfinite(x).all() for x in model.get_weights())


def test_at_least_one_step_ends_it():
    with pytest.raises(ValueError, match="most=0"):
        SkipNonFinite(most=0)


REPLICAS = """
import keras, numpy as np
import tensorflow as tf
from keras_vtr.callbacks import SkipNonFinite

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for scaled in (False, True):
    for row in (0, 3):  # of a batch: the first replica's, and the second's
        with strategy.scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            optimizer = keras.optimizers.SGD(0.1)
            if scaled:
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            model.compile(optimizer, "mse")
        x, y = np.ones((12, 2)), np.ones((12, 1))
        y[4 + row] = np.nan
        rows = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
        guard = SkipNonFinite()
        model.fit(rows, shuffle=False, verbose=0, callbacks=[guard])
        assert guard.num_skipped == 1
        assert all(np.isfinite(w).all() for w in model.get_weights())
"""


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.distribute"
)
def test_a_nan_on_any_replica_is_skipped_on_all():
    command = [sys.executable, "-c", REPLICAS]  # one strategy per process
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
