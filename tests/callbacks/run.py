"""A training run with dropout, EMA and reproducible data, to be killed."""

import pathlib
import resource
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from keras_vtr.callbacks import Checkpoint

STEPS, EPOCHS = 10, 3


def build():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(7, "relu"),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.01, use_ema=True), "mse")
    return model


def batches(start, slowly=0.0):
    def make(i):
        x = tf.random.stateless_uniform((4, 5), tf.stack([0, i]))
        return x, tf.reduce_sum(x, axis=1, keepdims=True)

    rows = tf.data.Dataset.counter(start, dtype=tf.int64).map(make)

    def wait(x):
        time.sleep(slowly)
        return x

    if slowly:
        rows = rows.map(
            lambda x, y: (
                tf.reshape(tf.numpy_function(wait, [x], tf.float32), (4, 5)),
                y,
            )
        )
    return rows


def train(folder, *, slowly=0.0, epochs=EPOCHS, callbacks=(), **options):
    """Trains to the end, from the newest checkpoint of a folder."""
    checkpoint = Checkpoint(folder, **options)
    model = build()
    history = model.fit(
        batches(checkpoint.num_steps, slowly),
        steps_per_epoch=STEPS,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, checkpoint],
    )
    return model, history.history


def main(folder, result, slowly, limit):
    """Trains in a separate process and writes the weights at the end."""
    folder = pathlib.Path(folder)
    if int(limit):  # maximum number of bytes in a file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    print("started", flush=True)
    model, _ = train(folder, slowly=float(slowly), every_steps=3)
    np.savez(result, *[np.array(x) for x in model.variables])


if __name__ == "__main__":
    main(*sys.argv[1:])
