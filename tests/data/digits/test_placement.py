import numpy as np
import tensorflow as tf

from keras_vtr.data import SceneLayout
from keras_vtr.data.digits.placement import place
from keras_vtr.data.digits.placement import random_boxes


def placed(tries, is_wanted=None, max_overlap=0.5):
    """Which of one scene's digits are placed, and their boxes."""
    tries = tf.constant([tries], tf.float32)
    if is_wanted is None:
        is_wanted = [True] * tries.shape[1]
    boxes = place(tries, tf.constant([is_wanted]), max_overlap)[0].numpy()
    return boxes.any(axis=-1).tolist(), boxes


def test_the_try_of_least_overlap_is_taken():
    first = [0, 0, 10, 10]
    # Overlaps of 0.5, 0.2 and 0.3 of the smaller box.
    tries = [[5, 0, 15, 10], [8, 0, 18, 10], [7, 0, 17, 10]]
    is_placed, boxes = placed([[first] * 3, tries])
    assert is_placed == [True, True]
    assert boxes.tolist() == [first, tries[1]]


def test_a_digit_that_overlaps_too_much_is_left_out():
    small_in_large = [[[0, 0, 40, 40]], [[10, 10, 18, 18]], [[50, 0, 60, 10]]]
    assert placed(small_in_large)[0] == [True, False, True]


def test_what_is_not_wanted_takes_no_room():
    twice = [[[0, 0, 10, 10]], [[0, 0, 10, 10]]]
    assert placed(twice, [False, True])[0] == [False, True]


def test_a_digit_that_others_cover_together_is_left_out():
    # Each covers 0.3 of the first one, both 0.6.
    middle = [[0, 0, 10, 10]]
    left, right = [[-7, 0, 3, 10]], [[7, 0, 17, 10]]
    assert placed([middle, left])[0] == [True, True]
    is_placed, boxes = placed([middle, left, right])
    assert is_placed == [False, True, True]
    assert not boxes[0].any()


def test_boxes_lie_within_the_scene_and_keep_to_their_sizes():
    layout = SceneLayout(image_size=53, digit_heights=(8, 31), num_tries=7)
    ink = tf.constant([[[2.0, 0, 6, 8], [1, 0, 8, 8], [3, 0, 5, 8]]] * 200)
    seeds = tf.constant([[1, 2], [3, 4]])
    tries = random_boxes(ink, layout, seeds).numpy()
    assert tries.shape == (200, 3, 7, 4)
    assert tries.min() >= 0 and tries.max() <= 53 + 1e-5
    width, height = np.moveaxis(tries[..., 2:] - tries[..., :2], -1, 0)
    assert height.min() > 8 - 1e-5 and height.max() < 31 + 1e-5
    # A digit that is drawn small keeps its own 4, 7 or 2 pixels of width.
    assert (width > np.array([4, 7, 2])[:, None] - 1e-5).all()
    assert width.max() < 31 + 1e-5
