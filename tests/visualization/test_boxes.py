import numpy as np
import pytest
from PIL import Image
from PIL import ImageColor

from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_comparison
from keras_vtr.visualization import draw_grid
from keras_vtr.visualization.tints import COLORS

BLACK = np.zeros((40, 60, 3))


def test_a_box_is_drawn_in_the_color_of_its_class_and_not_beyond():
    picture = draw_boxes(BLACK, [[10, 20, 30, 35]], [2], scale=4)
    assert picture.size == (240, 160)
    pixels = np.asarray(picture)
    ink = ImageColor.getrgb(COLORS[2])
    for row, column in ((100, 40), (140, 80), (100, 120)):
        assert tuple(pixels[row, column]) == ink
    assert (pixels[100, 60] == 0).all()  # inside
    assert (pixels[150] == 0).all()  # below
    assert (pixels[:, 200:] == 0).all()  # to the right


def test_padding_and_weak_detections_are_not_drawn():
    boxes, labels = [[5, 5, 20, 20], [25, 5, 40, 20]], [-1, 0]
    blank = np.asarray(draw_boxes(BLACK, boxes, labels, [0.9, 0.4]))
    assert (blank == 0).all()
    assert np.asarray(draw_boxes(BLACK, boxes, labels, [0.9, 0.6])).any()


def test_names_are_drawn_instead_of_numbers():
    boxes = [[5, 5, 55, 35]]
    number = draw_boxes(BLACK, boxes, [0], scale=4)
    name = draw_boxes(BLACK, boxes, [0], class_names=["zebra"], scale=4)
    assert np.asarray(number).tobytes() != np.asarray(name).tobytes()


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_pixels_keep_their_values(rng, num_channels):
    image = rng.integers(0, 256, size=(5, 7, num_channels))
    pixels = np.asarray(draw_boxes(image, np.zeros((0, 4)), []))
    expected = np.broadcast_to(image[..., : min(num_channels, 3)], (5, 7, 3))
    np.testing.assert_array_equal(pixels, expected)


def test_boxes_at_and_beyond_the_edge_do_not_fail():
    boxes = [[-5, -5, 70, 50], [0, 0, 0, 0], [59, 39, 60, 40]]
    found = np.asarray(draw_boxes(BLACK, boxes, [0, 1, 2], [0.9] * 3))
    assert found.shape == BLACK.shape and found.any()


def test_a_grid_holds_all_pictures_row_by_row():
    pictures = [Image.new("RGB", (10, 6), color) for color in COLORS[:5]]
    grid = np.asarray(draw_grid(pictures, num_columns=2, gap=2))
    assert grid.shape == (6 * 3 + 2 * 2, 10 * 2 + 2, 3)
    for i in range(5):
        row, column = divmod(i, 2)
        pixel = grid[row * 8 + 3, column * 12 + 5]
        assert tuple(pixel) == ImageColor.getrgb(COLORS[i])


def test_a_comparison_has_the_truth_above_what_was_found():
    images = np.zeros((3, 20, 30, 1))
    y_true = {
        "boxes": np.full((3, 1, 4), 0.5),
        "labels": np.array([[0], [-1], [1]]),
    }
    detections = {
        "boxes": np.tile([[[5.0, 5.0, 25.0, 15.0]]], (3, 1, 1)),
        "scores": np.array([[0.9], [0.9], [0.1]]),
        "labels": np.array([[0], [2], [1]]),
    }
    comparison = np.asarray(
        draw_comparison(images, y_true, detections, num_columns=2, scale=4)
    )
    assert comparison.shape == (4 * 80 + 3 * 4, 2 * 120 + 4, 3)

    def has_ink(row, column):
        top, left = row * 84, column * 124
        picture = comparison[top : top + 80, left : left + 120]
        return bool(picture.any()) and not (picture == 255).all()

    assert [has_ink(0, 0), has_ink(0, 1)] == [True, False]  # truth
    assert [has_ink(1, 0), has_ink(1, 1)] == [True, True]  # found
    assert [has_ink(2, 0), has_ink(3, 0)] == [True, False]
    assert (comparison[168:, 124:] == 255).all()  # nothing stands there


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"boxes.shape=\(1, 3\)"):
        draw_boxes(BLACK, [[1, 2, 3]], [0])
    with pytest.raises(ValueError, match=r"scores.shape=\(2,\)"):
        draw_boxes(BLACK, [[1, 2, 3, 4]], [0], [0.5, 0.6])
    with pytest.raises(ValueError, match=r"image.shape=\(40, 60\)"):
        draw_boxes(BLACK[..., 0], [[1, 2, 3, 4]], [0])
    with pytest.raises(ValueError, match="`pictures` must not be empty"):
        draw_grid([])
