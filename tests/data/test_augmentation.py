import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import augment
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.augmentation import _resize_masks
from keras_vtr.data.augmentation import crop
from keras_vtr.data.augmentation import flip
from keras_vtr.data.augmentation import resize
from tests.data.bright_boxes import BOXES
from tests.data.bright_boxes import LABELS
from tests.data.bright_boxes import scene


def where_bright(image, channel):
    rows, columns = np.nonzero(image[..., channel] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def targets(**change):
    """Two objects whose masks are all of their boxes."""
    masks = tf.transpose(scene()[..., :2], (2, 0, 1)) > 0
    return {"boxes": BOXES, "labels": LABELS, "masks": masks, **change}


def assert_targets_fit_pixels(image, targets, least_side=0):
    image = np.asarray(image)
    targets = {key: np.asarray(x) for key, x in targets.items()}
    assert targets["masks"].shape[1:] == image.shape[:2]
    for box, label, mask in zip(
        *(targets[x] for x in ("boxes", "labels", "masks")), strict=True
    ):
        if (box[2:] - box[:2]).min() <= least_side:
            continue
        channel = LABELS.numpy().tolist().index(label)
        found = where_bright(image, channel)
        np.testing.assert_allclose(box, found, atol=1.6)
        differ = mask != (image[..., channel] > 127)
        assert differ.sum() <= 2 * (box[2:] - box[:2]).sum()  # at the edges
        x, y = (
            np.flatnonzero(mask.any(axis=0)),
            np.flatnonzero(mask.any(axis=1)),
        )
        extent = [x[0], y[0], x[-1] + 1, y[-1] + 1]
        np.testing.assert_allclose(box, extent, atol=2)


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
    found, moved = resize(image, {"boxes": boxes}, short)
    assert tuple(found.shape[:2]) == expected
    np.testing.assert_allclose(
        moved["boxes"][0], [0, 0, *expected[::-1]], rtol=1e-6
    )


def test_boxes_move_with_their_pixels():
    for image, moved in (
        resize(scene(), targets(), 96),
        flip(scene(), targets()),
    ):
        assert_targets_fit_pixels(image, moved)
    corner, shape = tf.constant([20, 60]), tf.constant([100, 120])
    image, moved = crop(scene(), targets(), corner, shape)
    assert image.shape == (100, 120, 3)
    assert_targets_fit_pixels(image, moved)


def test_what_a_crop_leaves_nothing_of_is_gone():
    corner, shape = tf.constant([0, 0]), tf.constant([160, 100])
    _, moved = crop(scene(), targets(), corner, shape)
    assert moved["labels"].numpy().tolist() == [3]
    np.testing.assert_array_equal(moved["boxes"], BOXES[:1])
    assert moved["masks"].shape == (1, 160, 100)
    empty = {key: x[:0] for key, x in targets().items()}
    _, moved = crop(scene(), empty, corner, shape)
    assert moved["boxes"].shape == (0, 4)
    assert moved["masks"].shape == (0, 160, 100)


def test_an_object_whose_mask_is_cut_off_is_gone_though_its_box_is_not():
    masks = targets()["masks"].numpy()
    masks[0, :, :60] = False  # the box begins at 40
    corner, shape = tf.constant([0, 0]), tf.constant([160, 55])
    _, moved = crop(scene(), targets(masks=tf.constant(masks)), corner, shape)
    assert moved["labels"].numpy().tolist() == []
    without = {key: x for key, x in targets().items() if key != "masks"}
    _, moved = crop(scene(), without, corner, shape)
    assert moved["labels"].numpy().tolist() == [3]


@pytest.mark.parametrize("size", [(37, 53), (11, 7), (5, 90)])
def test_a_pixel_of_a_mask_is_the_nearest_one(size, rng):
    """Pixel-exact, against NumPy: the center of each new pixel decides."""
    masks = rng.random((3, 23, 31)) < 0.5
    found = _resize_masks(tf.constant(masks), tf.constant(size))
    rows, columns = (
        [int(np.floor((i + 0.5) * before / after)) for i in range(after)]
        for before, after in zip((23, 31), size, strict=True)
    )
    np.testing.assert_array_equal(found, masks[:, rows][:, :, columns])


def test_any_seed_keeps_boxes_on_their_pixels():
    options = {
        "short_sides": (96, 128, 160),
        "longest_side": 300,
        "crop_short_sides": (120, 160),
        "crop_range": (60, 120),
    }
    shapes, flipped, cropped = set(), 0, 0
    for seed in range(60):
        image, moved = augment(scene(), targets(), (0, seed), **options)
        image, boxes = image.numpy(), moved["boxes"].numpy()
        height, width = image.shape[:2]
        assert min(height, width) <= 160 and max(height, width) <= 300
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (width + 1e-3, height + 1e-3)).all()
        assert_targets_fit_pixels(image, moved, least_side=4)
        shapes.add((height, width))
        cropped += abs(width / height - 1.5) > 0.02
        if len(boxes) == 2:
            flipped += boxes[0, 0] > boxes[1, 0]
    assert len(shapes) > 20
    assert 15 < cropped < 45 and 5 < flipped < 55


def test_the_same_seed_decides_the_same():
    first, second = (
        augment(scene(), targets(), (1, 7), flips=False) for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    for key, value in first[1].items():
        np.testing.assert_array_equal(value, second[1][key])


def test_the_paper_s_numbers():
    assert (min(SHORT_SIDES), max(SHORT_SIDES)) == (480, 800)
    assert len(SHORT_SIDES) == 11 and LONGEST_SIDE == 1333


def test_it_runs_in_a_graph_of_unknown_sizes():
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 3)),
            tf.TensorSpec((None, 4)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None, None, None), tf.bool),
        ]
    )
    def run(image, boxes, labels, masks):
        given = {"boxes": boxes, "labels": labels, "masks": masks}
        return augment(image, given, (0, 3), short_sides=(64,))

    image, moved = run(scene(), *targets().values())
    assert_targets_fit_pixels(image, moved)
