"""Two replicas learn what one device learns from the same global batch."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

PROGRAM = """
import json, sys
import keras, numpy as np
import tensorflow as tf
from keras_vtr.losses import HungarianLoss
from keras_vtr.optimizers import MultiOptimizer
from tests.tiny_models import batch, tiny_detr

replicas = int(sys.argv[1])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
keras.utils.set_random_seed(3)
images, y_true = batch(np.random.default_rng(3), num_images=4)
# Uneven halves: nothing to find for the second replica.
y_true["labels"][:2], y_true["labels"][2:] = 1, -1
with strategy.scope():
    # Without batch norm, whose statistics are each replica's own.
    pixels = keras.Input((16, 16, 1))
    backbone = keras.Model(pixels, keras.layers.Conv2D(5, 8, 8)(pixels))
    model = tiny_detr(backbone=backbone)
    optimizer = keras.optimizers.SGD(0.02)
    if sys.argv[2] == "clipped":
        members = [("", keras.optimizers.AdamW(1e-3))]
        optimizer = MultiOptimizer(members, global_clipnorm=0.1, use_ema=True)
    # XLA has nothing to do with it and would compile for each replica.
    model.compile(optimizer, loss=HungarianLoss(), jit_compile=False)
dataset = tf.data.Dataset.from_tensor_slices((images, y_true)).batch(4)
logs = model.fit(dataset, epochs=3, verbose=0, shuffle=False).history
weights = [weight.ravel().tolist() for weight in model.get_weights()]
print(json.dumps({"logs": logs, "weights": weights}))
"""


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.distribute"
)
@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param("clipped", marks=pytest.mark.slow),
        pytest.param("plain", marks=pytest.mark.long),
    ],
)
def test_two_replicas_equal_one_device(optimizer):
    # One strategy per process.
    answers = []
    for replicas in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, replicas, optimizer],
            cwd=pathlib.Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        answers.append(json.loads(run.stdout.splitlines()[-1]))
    one, two = answers
    assert one["logs"].keys() == two["logs"].keys()
    for name, values in one["logs"].items():
        np.testing.assert_allclose(
            values, two["logs"][name], rtol=1e-4, atol=1e-5, err_msg=name
        )
    for a, b in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
