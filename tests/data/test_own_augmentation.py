import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import augment_on_host
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from keras_vtr.data.own_augmentation import checked_augmentation
from keras_vtr.host_errors import own_errors
from tests.annotation_files import content
from tests.annotation_files import write

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.data"
)
WHOLE = {"short_sides": (40,), "crop_range": (99, 100), "flips": False}
IMAGE = tf.zeros((4, 6, 3), "uint8")
TARGETS = {
    "boxes": tf.constant([[1.0, 1, 3, 4], [0, 0, 6, 4]]),
    "labels": tf.constant([2, 0]),
    "masks": tf.ones((2, 4, 6), "bool"),
}


def mirrored(image, targets, seed):
    """Upside down, in NumPy; brighter at random."""
    height = len(image)
    boxes = targets["boxes"][:, [0, 3, 2, 1]]
    boxes[:, 1::2] = height - boxes[:, 1::2]
    factor = np.random.default_rng(seed).uniform(1, 1.5)
    moved = {**targets, "boxes": boxes}
    if "masks" in targets:
        moved["masks"] = targets["masks"][:, ::-1]
    return image[::-1] * factor, moved


def test_images_boxes_and_masks_move_together_and_runs_resume(tmp_path):
    rows = content()
    for row in rows["annotations"]:
        x, y, w, h = row["bbox"]
        row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    data = read_coco(*write(tmp_path, rows), masks=True)

    def batches(augment=None, first=0, **options):
        found = detection_dataset(
            data,
            1,
            training=True,
            masks=True,
            augment=augment,
            first_batch=first,
            **WHOLE,
            **options,
        )
        return list(found.take(6 - first).as_numpy_iterator())

    own = augment_on_host(mirrored)
    plain, moved, rest = batches(), batches(own), batches(own, 4)
    factors = set()
    for (inputs, y_true), (other, expected) in zip(moved, plain, strict=True):
        real = expected["labels"][0] >= 0
        np.testing.assert_array_equal(y_true["labels"], expected["labels"])
        x, y, w, h = y_true["boxes"][0, real].T
        boxes = np.stack([x, 1 - y, w, h], axis=1)
        np.testing.assert_allclose(boxes, expected["boxes"][0, real], atol=1e-5)
        masks = y_true["masks"][:, :, ::-1]
        np.testing.assert_array_equal(masks, expected["masks"])
        ratio = inputs["images"][0, 0, 0, 0] / other["images"][0, 0, 0, 0]
        factors.add(round(float(ratio), 4))
    assert len(factors) == 6 and 1 <= min(factors) and max(factors) <= 1.5
    for one, same in zip(moved[4:], rest, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, one, same)

    def wrong(image, targets, seed):
        return image, {**targets, "boxes": targets["boxes"] + 40.0}

    with pytest.raises(
        ValueError, match=r"/\d\.png: `augment` must return box"
    ):
        with own_errors():
            batches(wrong)
    with pytest.raises(ValueError, match="augment must only be given with"):
        detection_dataset(data, 1, training=False, augment=own)


NAN = float("nan")


@pytest.mark.parametrize(
    ("image", "change", "message"),
    [
        (IMAGE[..., 0], {}, r"\(height, width, 3\). Received: \(4, 6\)"),
        (tf.fill((4, 6, 3), NAN), {}, r"values in \[0, 255\]. Received: nan"),
        (tf.fill((4, 6, 3), -2.1), {}, r"Received: -2.09\d* to -2.09"),
        (IMAGE, {"boxes": [[0, 0, NAN, 4], [0, 0, 6, 4]]}, r"\[0.0, 0.0, nan"),
        (IMAGE, {"boxes": [[0.0, 0, 6, 4], [3, 3, 3, 4]]}, "with an area"),
        (IMAGE, {"boxes": [[0.0, 0, 8, 4], [0, 0, 6, 4]]}, "width 6"),
        (IMAGE, {"boxes": [[0.0, 0, 6, 4]]}, r"boxes' \(2, 4\).*: \(1, 4\)"),
        (IMAGE, {"boxes": [[0, 0, 6, 4]] * 2}, "'boxes' in float32. .*int32"),
        (IMAGE, {"labels": [0.5, 1.0]}, "'labels' in int32. Received: float32"),
        (IMAGE[:3], {}, r"an image \(3, 6, 3\). Received: \(2, 4, 6\)"),
        (IMAGE, {"areas": [1.0]}, "a dict with .*Received: .*'areas'"),
    ],
)
def test_what_does_not_fit_is_named(image, change, message):
    with pytest.raises(ValueError, match=message), own_errors():
        checked_augmentation(
            lambda image_, targets, seed: (image, {**targets, **change}),
            IMAGE,
            TARGETS,
            tf.constant([0, 1]),
            tf.constant("a.png"),
        )


def test_host_functions_may_return_no_object_and_must_keep_labels_whole():
    def nothing(image, targets, seed):
        assert seed == 3 + 2**32 * (2**32 - 1)  # never below 0
        return image, {"boxes": [], "labels": [], "masks": []}

    image, found = augment_on_host(nothing)(IMAGE, TARGETS, [3, -1])
    assert [x.shape for x in found.values()] == [(0, 4), (0,), (0, 4, 6)]
    assert image.dtype == "float32"
    halves = augment_on_host(lambda i, t, _: (i, {**t, "labels": [0.5, 1]}))
    with pytest.raises(ValueError, match=r"'labels' in int32. .*0\.5"):
        with own_errors():
            halves(IMAGE, TARGETS, [0, 1])
