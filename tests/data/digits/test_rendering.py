import numpy as np
import tensorflow as tf

from keras_vtr.data.digits.rendering import draw
from keras_vtr.data.digits.rendering import ink_masks
from keras_vtr.data.digits.rendering import random_backgrounds
from keras_vtr.data.digits.rendering import render


def scenes_of(images, boxes, scene, background, items=None):
    """The scenes, and the masks of two items each, if items are given."""
    images = tf.constant(images, tf.float32)
    ink = tf.constant([[0.0, 0, 8, 8]] * len(images))
    boxes = tf.constant(boxes, tf.float32)
    background = tf.constant(background, tf.float32)
    drawn = draw(images, ink, boxes, background.shape[-1], 16)
    canvas = render(*drawn, tf.constant(scene), background)
    if items is None:
        return canvas.numpy()
    items = tf.constant(items)
    return ink_masks(*drawn, tf.constant(scene), items, canvas, 2).numpy()


def test_a_digit_at_its_own_size_is_copied():
    rng = np.random.default_rng(0)
    image = rng.uniform(1, 255, (8, 8)).astype("float32")
    scenes = scenes_of([image], [[5, 3, 13, 11]], [1], np.zeros((2, 17, 17)))
    expected = np.zeros((2, 17, 17), "float32")
    expected[1, 3:11, 5:13] = image
    np.testing.assert_allclose(scenes, expected, rtol=1e-6)


def test_the_brightest_of_digits_and_background_is_kept():
    images = [np.full((8, 8), value) for value in (100, 200)]
    boxes = [[0, 0, 10, 10], [6, 6, 19, 19]]
    (scene,) = scenes_of(images, boxes, [0, 0], np.full((1, 19, 19), 30))
    assert scene[5, 5] == 100 and scene[8, 8] == 200
    assert scene[18, 18] == 200 and scene[0, 15] == 30


def test_a_mask_is_the_ink_that_no_brighter_digit_covers():
    images = [np.full((8, 8), value) for value in (100, 200, 60)]
    boxes = [[0, 0, 10, 10], [6, 6, 19, 19], [1, 2, 9, 9]]
    background = np.full((2, 19, 19), 30)
    masks = scenes_of(images, boxes, [0, 0, 1], background, [1, 0, 0])
    expected = np.zeros((2, 2, 19, 19), bool)
    expected[0, 1, :10, :10] = True
    expected[0, 0, 6:, 6:] = True
    expected[0, 1] &= ~expected[0, 0]  # and the darkest has no ink at all
    np.testing.assert_array_equal(masks, expected)


def test_of_two_equally_bright_digits_the_first_has_a_pixel():
    images = [np.full((8, 8), 200)] * 2
    boxes = [[6, 6, 19, 19], [0, 0, 10, 10]]
    masks = scenes_of(images, boxes, [0, 0], np.zeros((1, 19, 19)), [1, 0])
    assert masks[0, 0, :10, :10].all()  # the first item, not the first drawn
    assert not masks[0].all(axis=0).any() and masks[0, 1, 10:, 10:].all()


def test_a_background_is_a_darkened_region_of_a_photograph():
    # A pixel's value is its own place.
    photograph = np.arange(300 * 260, dtype="float32").reshape(1, 300, 260)
    seeds = tf.constant([[1, 2], [3, 4]])
    backgrounds = random_backgrounds(photograph, (50, 67, 67), seeds).numpy()
    step = np.diff(backgrounds[:, :, 0], axis=1).mean(axis=1)  # down a column
    side = np.diff(backgrounds[:, 0], axis=1).mean(axis=1)
    # Square regions of 128 to 256 pixels, of contrast 0.2 to 0.5.
    np.testing.assert_allclose(step / side, 260, rtol=0.1)
    assert (side > 0.2 * 127 / 67).all() and (side < 0.5 * 257 / 67).all()
    assert backgrounds.min() >= 0 and backgrounds.max() < 300 * 260 / 2
    assert len(np.unique(backgrounds[:, 0, 0])) > 45
