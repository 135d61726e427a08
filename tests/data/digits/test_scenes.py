import hashlib

import numpy as np
import pytest

from keras_vtr.data import SceneLayout
from keras_vtr.data import digit_scenes
from keras_vtr.data import load_digits


def read(split="train", **options):
    """All scenes of a finite data set, as arrays."""
    options = {"num_scenes": 40, "batch_size": 16, **options}
    batches = list(digit_scenes(split, **options).as_numpy_iterator())
    images = np.concatenate([images for images, _ in batches])
    targets = {
        key: np.concatenate([y_true[key] for _, y_true in batches])
        for key in batches[0][1]
    }
    return images, targets


@pytest.mark.parametrize(
    ("split", "digest", "light"),
    [
        (
            "train",
            "f44687b01c312ef08ef16ef8feac2aa5",
            [182385.971, 72195.445, 154470.341],
        ),
        (
            "held_out",
            "cb023a918cf6d778ac54b9b38318d43f",
            [85111.981, 195866.466, 171894.207],
        ),
    ],
)
def test_easy_scenes_are_those_that_published_numbers_rest_on(
    split, digest, light
):
    images, y_true = read(split, seed=3)
    targets = y_true["boxes"].tobytes() + y_true["labels"].tobytes()
    assert hashlib.sha256(targets).hexdigest().startswith(digest)
    found = images.sum(axis=(1, 2, 3), dtype="float64")[[0, 20, 39]]
    # Another processor may round a pixel's last bit differently.
    np.testing.assert_allclose(found, light, rtol=1e-7)


def test_scenes_have_the_documented_format():
    images, y_true = read()
    assert images.shape == (40, 64, 64, 1) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 255
    assert y_true["boxes"].shape == (40, 5, 4)
    assert y_true["boxes"].dtype == np.float32
    assert y_true["labels"].shape == (40, 5)
    assert y_true["labels"].dtype == np.int32
    real = y_true["labels"] >= 0
    counts = real.sum(axis=1)
    assert counts.min() >= 1 and set(counts) == {1, 2, 3, 4, 5}
    assert (y_true["boxes"][~real] == 0).all()
    center, size = np.split(y_true["boxes"][real], 2, axis=-1)
    assert (center - size / 2 >= -1e-6).all()
    assert (center + size / 2 <= 1 + 1e-6).all()


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others():
    images, y_true = read(seed=3)
    again, targets = read(seed=3)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(y_true["boxes"], targets["boxes"])
    other, _ = read(seed=4)
    assert not np.array_equal(images, other)


def test_the_splits_differ():
    assert not np.array_equal(read("train")[0], read("held_out")[0])


def test_a_box_fits_its_digit_tightly():
    images, y_true = read(num_scenes=300)
    for image, boxes, labels in zip(
        images, y_true["boxes"], y_true["labels"], strict=True
    ):
        if (labels >= 0).sum() != 1:
            continue
        box = boxes[labels >= 0][0] * 64
        rows, columns = np.nonzero(image[..., 0] > 24)  # above the noise
        x1, y1, x2, y2 = *(box[:2] - box[2:] / 2), *(box[:2] + box[2:] / 2)
        # The ink fades out within the outermost of its 8 pixels.
        margin = box[2:] / 6
        assert x1 - 1 <= columns.min() <= x1 + margin[0]
        assert y1 - 1 <= rows.min() <= y1 + margin[1]
        assert x2 - margin[0] - 1 <= columns.max() + 1 <= x2 + 1
        assert y2 - margin[1] - 1 <= rows.max() + 1 <= y2 + 1


@pytest.mark.parametrize(("layout", "size"), [("easy", 64), ("crowded", 256)])
def test_masks_are_bright_and_within_their_boxes(layout, size):
    options = {"layout": layout, "batch_size": 4, "num_scenes": 8}
    images, y_true = read(masks=True, **options)
    plain, without = read(**options)
    np.testing.assert_array_equal(images, plain)
    np.testing.assert_array_equal(y_true["boxes"], without["boxes"])
    masks, real = y_true["masks"], y_true["labels"] >= 0
    assert masks.shape == (*real.shape, size, size) and masks.dtype == bool
    assert not masks[~real].any()
    assert masks.sum(axis=1).max() == 1  # each pixel has one owner
    assert images[..., 0][masks.any(axis=1)].min() > 64
    for box, mask in zip(y_true["boxes"][real], masks[real], strict=True):
        rows, columns = np.nonzero(mask)
        assert len(rows) > 8
        x1, y1, x2, y2 = corners(box, size)
        assert x1 - 1 <= columns.min() and columns.max() <= x2
        assert y1 - 1 <= rows.min() and rows.max() <= y2


def corners(boxes, size):
    """Absolute `xyxy` boxes."""
    low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2]
    return np.concatenate([low, high + boxes[..., 2:] / 2], axis=-1) * size


@pytest.mark.parametrize(
    ("layout", "most"), [("easy", 0.11), ("crowded", 0.41)]
)
def test_digits_overlap_little(layout, most):
    _, y_true = read(layout=layout, num_scenes=100)
    for boxes, labels in zip(y_true["boxes"], y_true["labels"], strict=True):
        low, high = np.split(corners(boxes[labels >= 0], 1), 2, axis=-1)
        shared = np.maximum(
            np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0
        ).prod(axis=-1)
        area = (high - low).prod(axis=-1)
        share = shared / np.minimum(area[:, None], area)
        assert share[~np.eye(len(low), dtype=bool)].max(initial=0) < most


def test_crowded_scenes_have_many_digits_of_all_sizes():
    images, y_true = read(layout="crowded", num_scenes=100)
    assert images.shape == (100, 256, 256, 1)
    assert images.min() >= 0 and images.max() <= 255
    real = y_true["labels"] >= 0
    counts = real.sum(axis=1)
    assert real.shape == (100, 40)
    assert counts.min() >= 1 and counts.min() < 5 and counts.max() > 32
    assert 15 < counts.mean() < 21
    assert set(y_true["labels"][real]) == set(range(10))
    assert (y_true["boxes"][~real] == 0).all()
    boxes = corners(y_true["boxes"][real], 256)
    assert boxes.min() >= -1e-4 and boxes.max() <= 256 + 1e-4
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    assert 8 - 1e-4 <= height.min() < 9 and 39 < height.max() <= 40 + 1e-4
    assert width.min() > 1 and width.max() <= 40 + 1e-4


def test_half_of_each_target_is_free_of_other_boxes():
    _, y_true = read(layout="crowded", num_scenes=60)
    for boxes, labels in zip(y_true["boxes"], y_true["labels"], strict=True):
        boxes = corners(boxes[labels >= 0], 256 * 4)  # four times as fine
        boxes = np.round(boxes).astype(int)
        covers = np.zeros((256 * 4, 256 * 4), int)
        for x1, y1, x2, y2 in boxes:
            covers[y1:y2, x1:x2] += 1
        for x1, y1, x2, y2 in boxes:
            assert (covers[y1:y2, x1:x2] == 1).mean() > 0.45


def test_a_digit_stands_out_from_its_photograph():
    images, y_true = read(layout="crowded", num_scenes=40)
    for image, boxes, labels in zip(
        images[..., 0], y_true["boxes"], y_true["labels"], strict=True
    ):
        for box in corners(boxes[labels >= 0], 256):
            x1, y1, x2, y2 = np.round(box).astype(int)
            # The brightest background and noise: 255 / 2 + 24.
            assert image[y1:y2, x1:x2].max() > 190


def test_fragments_are_drawn_and_are_no_targets():
    options = {"max_digits": 1, "num_tries": 1}
    without, _ = read(layout=SceneLayout(**options))
    layout = SceneLayout(**options, max_fragments=3)
    images, targets = read(layout=layout)
    assert targets["labels"].shape == (40, 1)
    assert (targets["labels"] >= 0).all()
    drawn = (images > 60).sum(axis=(1, 2, 3))
    alone = (without > 60).sum(axis=(1, 2, 3))
    assert drawn.mean() > 1.15 * alone.mean()


def test_the_same_seed_gives_the_same_crowded_scenes():
    images, y_true = read(layout="crowded", num_scenes=5)
    again, targets = read(layout="crowded", num_scenes=5)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(y_true["boxes"], targets["boxes"])


def test_a_digit_is_drawn_upright_and_where_its_box_is():
    images, y_true = read(num_scenes=300)
    digits, labels, ink = load_digits("train")
    mean = {}
    for label in range(10):
        crops = [
            digit[int(y1) : int(y2), int(x1) : int(x2)]
            for digit, (x1, y1, x2, y2) in zip(digits, ink, strict=True)
        ]
        chosen = [c for c, k in zip(crops, labels, strict=True) if k == label]
        mean[label] = np.mean([sample(c) for c in chosen], axis=0)
    right = total = 0
    for image, boxes, names in zip(
        images[..., 0], y_true["boxes"], y_true["labels"], strict=True
    ):
        for box, name in zip(boxes * 64, names, strict=True):
            if name < 0:
                continue
            x1, y1 = np.round(box[:2] - box[2:] / 2).astype(int)
            x2, y2 = np.round(box[:2] + box[2:] / 2).astype(int)
            crop = sample(image[max(y1, 0) : y2, max(x1, 0) : x2])
            nearest = min(
                mean,
                key=lambda label, crop=crop: ((crop - mean[label]) ** 2).sum(),
            )
            right += nearest == name
            total += 1
    # The nearest class mean is right for most digits, were they drawn right.
    assert right / total > 0.75, right / total


def sample(crop, size=6):
    """A crop as size x size pixels, each the nearest one's."""
    rows = (np.arange(size) + 0.5) * crop.shape[0] / size
    columns = (np.arange(size) + 0.5) * crop.shape[1] / size
    return crop[rows.astype(int)][:, columns.astype(int)].astype("float64")


def test_other_digits_than_the_wanted_ones_are_not_drawn():
    _, y_true = read(digits=(7, 2))
    assert set(y_true["labels"].ravel()) == {-1, 2, 7}


def test_the_last_batch_holds_the_rest():
    batches = list(digit_scenes("train", batch_size=16, num_scenes=40))
    assert [len(images) for images, _ in batches] == [16, 16, 8]


def test_without_a_number_scenes_never_end():
    scenes = digit_scenes("train", batch_size=2)
    assert int(scenes.cardinality()) == -1  # tf.data's word for it
    assert sum(1 for _ in scenes.take(100)) == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "Received: split='test'"),
        ({"split": "train", "batch_size": 0}, "`batch_size` must be 1 or more"),
        ({"split": "train", "num_scenes": 0}, "`num_scenes` must be 1 or more"),
        ({"split": "train", "digits": ()}, "`digits` must be some of 0 to 9"),
        ({"split": "train", "digits": [9, 10]}, "`digits` must be some of"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        digit_scenes(**arguments)
