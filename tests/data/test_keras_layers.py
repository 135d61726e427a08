"""What Keras's own layers do to boxes, and why `augment` is our own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data.augmentation import flip
from keras_vtr.data.augmentation import resize
from tests.data.bright_boxes import BOXES
from tests.data.bright_boxes import LABELS
from tests.data.bright_boxes import scene

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.data"
)


def through(layer, image=None):
    image = scene() if image is None else image
    moved = layer(
        {
            "images": image[None],
            "bounding_boxes": {"boxes": BOXES[None], "labels": LABELS[None]},
        },
        training=True,
    )
    boxes = moved["bounding_boxes"]
    rows = (moved["images"], boxes["boxes"], boxes["labels"])
    return [np.array(x)[0] for x in rows]


def test_flips_and_sizes_are_keras_s():
    layer = keras.layers.RandomFlip(
        "horizontal", bounding_box_format="xyxy", seed=1
    )
    for _ in range(8):
        image, boxes, _ = through(layer)
        if np.array_equal(boxes, BOXES):
            continue
        ours, expected = flip(scene(), {"boxes": BOXES})
        np.testing.assert_array_equal(image, ours)
        np.testing.assert_allclose(boxes, expected["boxes"], atol=1e-4)
        break
    else:
        pytest.fail("never flipped")
    layer = keras.layers.Resizing(
        80, 120, antialias=True, bounding_box_format="xyxy"
    )
    image, boxes, _ = through(layer)
    ours, expected = resize(scene(), {"boxes": BOXES}, 80)
    np.testing.assert_allclose(image, ours, atol=0.01)
    np.testing.assert_allclose(boxes, expected["boxes"], atol=1e-3)


def test_crops_are_not():
    # Once this fails, Keras's layer can be used.
    rows, columns = tf.meshgrid(tf.range(160), tf.range(240), indexing="ij")
    coordinates = tf.cast(tf.stack([rows, columns, rows], -1), "float32")
    layer = keras.layers.RandomCrop(
        120, 200, bounding_box_format="xyxy", seed=2
    )
    image, boxes, _ = through(layer, coordinates)
    y, x, _ = image[0, 0]
    assert abs(x - y) > 2
    wrong = BOXES[0] - np.array([y, x, y, x])
    np.testing.assert_allclose(boxes[0], wrong, atol=1e-3)
