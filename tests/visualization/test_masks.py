import numpy as np
import pytest
from PIL import ImageColor

from keras_vtr.visualization import draw_masks
from keras_vtr.visualization import draw_segments
from keras_vtr.visualization.tints import COLORS

BLACK = np.zeros((40, 60, 3))


def square(top, left, side):
    mask = np.zeros((40, 60), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_mask_is_tinted_within_and_full_at_its_edge():
    # A box elsewhere, so that its line and its name hide nothing.
    picture = draw_masks(
        BLACK, [square(15, 20, 10)], [3], boxes=[[50, 30, 58, 39]]
    )
    pixels = np.asarray(picture, "int32")
    ink = np.array(ImageColor.getrgb(COLORS[3]))
    np.testing.assert_array_equal(pixels[15, 20:30], [ink] * 10)
    np.testing.assert_array_equal(pixels[24, 29], ink)
    np.testing.assert_allclose(
        pixels[16:24, 21:29], [[ink / 2] * 8] * 8, atol=1
    )
    assert (pixels[:15] == 0).all() and (pixels[25:, :45] == 0).all()


def test_padding_and_weak_masks_are_not_drawn():
    masks = [square(5, 5, 9), square(20, 30, 9)]
    blank = np.asarray(draw_masks(BLACK, masks, [-1, 0], [0.9, 0.4]))
    assert (blank == 0).all()
    shown = np.asarray(draw_masks(BLACK, masks, [-1, 0], [0.9, 0.6], scale=2))
    assert shown.shape == (80, 120, 3) and shown[50, 70].any()
    none = draw_masks(BLACK, np.zeros((0, 40, 60)), np.zeros(0, int))
    assert (np.asarray(none) == 0).all()


def test_an_empty_mask_does_not_fail():
    draw_masks(BLACK, [square(0, 0, 0)], [1])


def test_each_segment_has_a_color_and_its_name():
    numbers = np.full((40, 60), -1)
    numbers[:, :20], numbers[:, 20:40] = 0, 1
    segments = {"segments": numbers, "labels": np.array([1, 1])}
    options = {"class_names": ["sky", "cat"], "scale": 3}
    picture = draw_segments(BLACK, segments, **options)
    pixels = np.asarray(picture, "int32")
    assert pixels.shape == (120, 180, 3)
    for i in (0, 1):
        ink = np.array(ImageColor.getrgb(COLORS[i])) / 2
        np.testing.assert_allclose(pixels[15, 30 + 60 * i], ink, atol=1)
    assert (pixels[:, 120:] == 0).all()
    other = draw_segments(BLACK, segments, class_names=["sky", "dog"], scale=3)
    assert np.asarray(other).tobytes() != np.asarray(picture).tobytes()


def test_other_sizes_are_refused():
    with pytest.raises(
        ValueError, match=r"masks.shape=\(1, 40, 60\).*\(20, 60\)"
    ):
        draw_masks(BLACK[:20], [square(0, 0, 3)], [1])
    logits = np.full((1, 40, 60), -3.0)  # True as bool, and no object
    with pytest.raises(ValueError, match="decode_masks makes masks of them"):
        draw_masks(BLACK, logits, [1], boxes=[[1, 1, 5, 5]])
    segments = {"segments": np.zeros((40, 60), int), "labels": [1]}
    with pytest.raises(ValueError, match=r"segments of \(40, 60\)"):
        draw_segments(BLACK[:20], segments)
