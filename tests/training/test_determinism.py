import subprocess
import sys

import keras
import pytest

from keras_vtr.training import enable_determinism

# The order in which TensorFlow 2.21 adds gradients changes when it has measured
# its operations: after some 90 steps of this model.
PROGRAM = """
import sys
import keras, numpy as np
import tensorflow as tf
import keras_vtr

if sys.argv[1] == "ours":
    keras_vtr.training.enable_determinism()
else:
    tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(0)
detr = keras_vtr.models.build_detr(
    10, size="small", image_shape=(64, 64, 3), queries="anchors"
)
detr.compile(loss=keras_vtr.losses.HungarianLoss())
images = tf.random.uniform((4, 64, 64, 3), maxval=255)
boxes = tf.random.uniform((4, 5, 4), minval=0.2, maxval=0.4)
y_true = {"boxes": boxes, "labels": tf.ones((4, 5), "int32")}

@tf.function
def gradients():
    with tf.GradientTape() as tape:
        loss = detr.compute_loss(images, y_true, detr(images, training=True))
    return tape.gradient(loss, detr.trainable_variables)

first = gradients()
for _ in range(300):
    for a, b in zip(first, gradients()):
        np.testing.assert_array_equal(a, b)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns TensorFlow"
)
def test_the_same_step_gives_the_same_bits():
    # In a process of its own, since it can't be undone.
    subprocess.run([sys.executable, "-c", PROGRAM, "ours"], check=True)


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="concerns the others"
)
def test_the_error_on_other_backends_gives_a_remedy():
    with pytest.raises(RuntimeError, match="XLA_FLAGS"):
        enable_determinism()
