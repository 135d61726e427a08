"""Makes addons.npz: what tensorflow-addons 0.23.0 computes.

`StochasticDepth` in inference and in both outcomes of training, and weights
after steps of `MultiOptimizer`. In the environment of make_giou.py:

    /tmp/addons/bin/python tests/golden/make_addons.py
"""

import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

SURVIVAL = 0.75
NUM_STEPS = 5


def stochastic_depth(rng):
    shortcut, branch = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    layer = tfa.layers.StochasticDepth(SURVIVAL)
    values = {"inference": layer([shortcut, branch]).numpy()}
    while len(values) < 3:
        found = layer([shortcut, branch], training=True).numpy()
        dropped = np.allclose(found, shortcut)
        values["dropped" if dropped else "kept"] = found
    return {
        "shortcut": shortcut,
        "branch": branch,
        "survival": SURVIVAL,
        **values,
    }


def multi_optimizer(rng):
    """A layer by SGD with momentum, one by Adam, on fixed gradients."""
    inputs = rng.normal(size=(7, 3)).astype("float32")
    targets = rng.normal(size=(7, 2)).astype("float32")
    first = tf.keras.layers.Dense(4, activation="tanh")
    second = tf.keras.layers.Dense(2)
    model = tf.keras.Sequential([first, second])
    model.build((None, 3))
    start = [rng.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights(start)
    optimizer = tfa.optimizers.MultiOptimizer(
        [
            (tf.keras.optimizers.legacy.SGD(0.1, momentum=0.9), first),
            (tf.keras.optimizers.legacy.Adam(0.01), second),
        ]
    )
    model.compile(optimizer, "mse")
    for _ in range(NUM_STEPS):
        model.train_on_batch(inputs, targets)
    values = {"inputs": inputs, "targets": targets}
    end = model.get_weights()
    for i, (old, new) in enumerate(zip(start, end, strict=True)):
        values |= {f"start_{i}": old, f"end_{i}": new}
    return values


def main():
    rng = np.random.default_rng(0)
    np.savez_compressed(
        pathlib.Path(__file__).with_name("addons.npz"),
        **stochastic_depth(rng),
        **multi_optimizer(rng),
    )


if __name__ == "__main__":
    main()
