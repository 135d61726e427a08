import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import augment
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.augmentation import crop
from keras_vtr.data.augmentation import flip
from keras_vtr.data.augmentation import resize
from tests.data.bright_boxes import BOXES
from tests.data.bright_boxes import LABELS
from tests.data.bright_boxes import scene


def where_bright(image, channel):
    rows, columns = np.nonzero(image[..., channel] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def assert_boxes_fit_pixels(image, boxes, labels):
    for box, label in zip(boxes, labels, strict=True):
        found = where_bright(image, LABELS.numpy().tolist().index(label))
        np.testing.assert_allclose(box, found, atol=1.6)


@pytest.mark.parametrize(
    ("height", "width", "short", "expected"),
    [
        (480, 640, 800, (800, 1067)),
        (640, 480, 800, (1067, 800)),
        (400, 1000, 800, (533, 1333)),  # the long side would have 2000
        (500, 500, 480, (480, 480)),
    ],
)
def test_the_short_side_is_as_asked_unless_the_long_one_is_too_long(
    height, width, short, expected
):
    image = np.zeros((height, width, 3), "float32")
    boxes = np.array([[0, 0, width, height]], "float32")
    found, moved = resize(image, boxes, short)
    assert tuple(found.shape[:2]) == expected
    np.testing.assert_allclose(moved[0], [0, 0, *expected[::-1]], rtol=1e-6)


def test_boxes_move_with_their_pixels():
    for image, boxes in (
        resize(scene(), BOXES, 96),
        flip(scene(), BOXES),
    ):
        assert_boxes_fit_pixels(image.numpy(), boxes.numpy(), LABELS.numpy())
    corner, shape = tf.constant([20, 60]), tf.constant([100, 120])
    image, boxes, labels = crop(scene(), BOXES, LABELS, corner, shape)
    assert image.shape == (100, 120, 3)
    assert_boxes_fit_pixels(image.numpy(), boxes.numpy(), labels.numpy())


def test_what_a_crop_leaves_nothing_of_is_gone():
    corner, shape = tf.constant([0, 0]), tf.constant([160, 100])
    _, boxes, labels = crop(scene(), BOXES, LABELS, corner, shape)
    assert labels.numpy().tolist() == [3]
    np.testing.assert_array_equal(boxes, BOXES[:1])
    empty = tf.zeros((0, 4))
    _, boxes, labels = crop(scene(), empty, LABELS[:0], corner, shape)
    assert boxes.shape == (0, 4)


def test_any_seed_keeps_boxes_on_their_pixels():
    options = {
        "short_sides": (96, 128, 160),
        "longest_side": 300,
        "crop_short_sides": (120, 160),
        "crop_range": (60, 120),
    }
    shapes, flipped, cropped = set(), 0, 0
    for seed in range(60):
        image, boxes, labels = augment(
            scene(), BOXES, LABELS, (0, seed), **options
        )
        image, boxes, labels = image.numpy(), boxes.numpy(), labels.numpy()
        height, width = image.shape[:2]
        assert min(height, width) <= 160 and max(height, width) <= 300
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (width + 1e-3, height + 1e-3)).all()
        large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 4
        assert_boxes_fit_pixels(image, boxes[large], labels[large])
        shapes.add((height, width))
        cropped += abs(width / height - 1.5) > 0.02
        if len(boxes) == 2:
            flipped += boxes[0, 0] > boxes[1, 0]
    assert len(shapes) > 20
    assert 15 < cropped < 45 and 5 < flipped < 55


def test_the_same_seed_decides_the_same():
    first, second = (
        augment(scene(), BOXES, LABELS, (1, 7), flips=False) for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_paper_s_numbers():
    assert (min(SHORT_SIDES), max(SHORT_SIDES)) == (480, 800)
    assert len(SHORT_SIDES) == 11 and LONGEST_SIDE == 1333


def test_it_runs_in_a_graph_of_unknown_sizes():
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 3)),
            tf.TensorSpec((None, 4)),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def run(image, boxes, labels):
        return augment(image, boxes, labels, (0, 3), short_sides=(64,))

    image, boxes, labels = run(scene(), BOXES, LABELS)
    assert_boxes_fit_pixels(image.numpy(), boxes.numpy(), labels.numpy())
