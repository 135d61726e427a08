import json

import keras
import numpy as np
import pytest

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks.checkpoint_files import best_checkpoint


def fit(checkpoint, epochs=4, callbacks=(), **options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(
        np.ones((8, 2)),
        np.ones((8, 1)),
        epochs=epochs,
        verbose=0,
        callbacks=[*callbacks, checkpoint],
        **options,
    )


VALIDATION = {"validation_split": 0.25, "validation_freq": 2}


def test_it_waits_for_validation(tmp_path):
    checkpoint = Checkpoint(tmp_path, monitor="val_loss", mode="min")
    history = fit(checkpoint, epochs=5, **VALIDATION).history
    _, manifest = best_checkpoint(tmp_path, "min")
    assert manifest["value"] == min(history["val_loss"])


def test_it_does_not_wait_for_what_validation_does_not_bring(tmp_path):
    checkpoint = Checkpoint(tmp_path, monitor="val_los")
    with pytest.raises(ValueError, match=r"monitor='val_los'.*'val_loss'"):
        fit(checkpoint, **VALIDATION)
    assert checkpoint.num_steps == 2


def test_without_any_validation_it_says_so_at_the_end(tmp_path):
    with pytest.warns(RuntimeWarning, match="'val_AP' was never in the logs"):
        fit(Checkpoint(tmp_path, monitor="val_AP"))
    fit(Checkpoint(tmp_path, monitor="val_AP"))  # no epoch is left


def test_a_callback_may_add_it_in_some_epochs(tmp_path):
    class AddPrecision(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch % 2 == 1:
                logs["AP"] = epoch / 10
            elif epoch == 0:
                logs["AP"] = float("nan")

    fit(Checkpoint(tmp_path, monitor="AP"), callbacks=[AddPrecision()])
    assert best_checkpoint(tmp_path)[1]["value"] == 0.3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_the_best(value, tmp_path):
    class AddPrecision(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["AP"] = [value, 0.1][epoch]

    fit(Checkpoint(tmp_path, monitor="AP"), 2, callbacks=[AddPrecision()])
    values = [
        json.loads(
            (x / "manifest.json").read_text(), parse_constant=pytest.fail
        )
        for x in sorted(tmp_path.glob("step-*"))
    ]
    assert [x["value"] for x in values] == [None, 0.1]
