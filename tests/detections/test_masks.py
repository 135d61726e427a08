"""Mask logits at the model's size become pixels of each picture."""

import keras
import numpy as np
import pytest

from keras_vtr.detections import decode_detections
from keras_vtr.detections import decode_masks
from keras_vtr.detections import detect
from keras_vtr.layers import MaskEmbeddingHead
from keras_vtr.models import build_detr
from tests.tiny_models import color_detr


def resized(logits, size):
    """Keras's bilinear resizing, (n, height, width)."""
    found = keras.ops.image.resize(
        logits[..., None],
        size,
        interpolation="bilinear",
        data_format="channels_last",
    )
    return keras.ops.convert_to_numpy(found)[..., 0]


def test_masks_are_resized_between_the_centers_of_pixels(rng):
    logits = rng.normal(size=(2, 3, 5, 7)).astype("float32")
    for masks, size in zip(
        decode_masks(logits, [(13, 11), (31, 50)]),
        [(13, 11), (31, 50)],
        strict=True,
    ):
        image = 0 if size == (13, 11) else 1
        assert masks.shape == (3, *size) and masks.dtype == bool
        np.testing.assert_array_equal(masks, resized(logits[image], size) > 0)


def test_padding_is_cut_off(rng):
    """The real part of a padded image has the masks that it has alone."""
    logits = rng.normal(size=(1, 2, 6, 8)).astype("float32")
    padding_mask = np.zeros((1, 24, 32), bool)
    padding_mask[0, :20, :16] = True
    (found,) = decode_masks(logits, (40, 32), padding_mask)
    # Five rows and four columns are real; beyond them the padding's go on.
    expected = resized(logits[0], (48, 64)) > 0
    np.testing.assert_array_equal(found, expected[:, :40, :32])


def test_masks_go_with_their_detections(rng):
    shape = (2, 5)
    outputs = {
        "logits": rng.normal(size=(*shape, 4)).astype("float32"),
        "boxes": rng.uniform(0.3, 0.6, (*shape, 4)).astype("float32"),
    }
    # Each mask tells which query it is of.
    marks = np.arange(10, dtype="float32").reshape(*shape, 1, 1)
    masks = np.broadcast_to(marks, (*shape, 3, 4))
    plain = decode_detections(outputs, (1, 1), 3)
    found = decode_detections({**outputs, "masks": masks}, (1, 1), 3)
    assert set(found) == {*plain, "masks"}
    order = np.argsort(-_scores(outputs), axis=1)[:, :3]
    expected = order + [[0], [5]]
    found = keras.ops.convert_to_numpy(found["masks"])
    np.testing.assert_array_equal(found[..., 0, 0], expected)
    assert found.shape == (2, 3, 3, 4)


def test_boxes_of_a_model_of_masks_alone_are_their_extents():
    masks = np.full((1, 3, 8, 10), -2.0, "float32")
    masks[0, 0, 2:5, 4:10] = 1.0
    masks[0, 1, 7, 0] = 3.0
    logits = np.full((1, 3, 4), -9.0, "float32")
    logits[0, :, 1] = 9.0
    outputs = {"logits": logits, "masks": masks}
    found = decode_detections(outputs, (80, 100))
    found = {key: keras.ops.convert_to_numpy(x) for key, x in found.items()}
    expected = [[0, 70, 10, 80], [40, 20, 100, 50], [0, 0, 0, 0]]
    np.testing.assert_allclose(found["boxes"][0], expected, atol=1e-4)
    scores = 1 / (1 + np.exp([-3.0, -1.0]))
    np.testing.assert_allclose(found["scores"][0], [*scores, 0], atol=1e-4)
    np.testing.assert_array_equal(found["masks"][0, 0], masks[0, 1])


def _scores(outputs):
    logits = outputs["logits"].astype("float64")
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return p[..., :-1].max(axis=-1)


@pytest.mark.parametrize(
    "change",
    [{}, {"padding": "published"}, {"masks": MaskEmbeddingHead(upsampling=2)}],
)
def test_detect_gives_masks_of_each_picture_s_own_size(change, rng):
    detr = color_detr(
        **{"hidden_dim": 16, "num_heads": 8, "masks": True} | change
    )
    images = [
        rng.integers(0, 255, (*s, 3), "uint8") for s in ((23, 37), (64, 48))
    ]
    for image, found in zip(
        images, detect(detr, images, score_threshold=0.0), strict=True
    ):
        assert found["masks"].shape == (5, *image.shape[:2])
        assert found["masks"].dtype == bool
    (none,) = detect(detr, images[:1], score_threshold=1.0)
    assert none["masks"].shape == (0, 23, 37)


def test_every_decoder_layer_draws_with_mask_embeddings():
    options = {
        "size": "modern_small",
        "image_shape": (32, 48, 3),
        "num_queries": 7,
        "num_decoder_layers": 3,
    }
    head = MaskEmbeddingHead(upsampling=2)
    detr = build_detr(4, masks=head, **options)
    shapes = {key: tuple(x.shape) for key, x in detr.output.items()}
    # As fine as the stem's first map, at half of the resolution, and twice it.
    assert shapes["masks"] == (None, 7, 32, 48)
    assert shapes["auxiliary_masks"] == (None, 2, 7, 32, 48)
    assert shapes["auxiliary_boxes"] == (None, 3, 7, 4)  # and the selection
    assert not head.built
    again = type(detr).from_config(detr.get_config())
    assert again.get_layer("mask_head").upsampling == 2


def test_wrong_masks_are_refused():
    with pytest.raises(ValueError, match=r"must be True, False or a mask head"):
        color_detr(masks="light")
    with pytest.raises(ValueError, match=r"logits.shape=\(5, 3, 3\)"):
        decode_masks(np.ones((5, 3, 3)), (4, 4))
    with pytest.raises(ValueError, match="image_shape"):
        decode_masks(np.ones((2, 5, 3, 3)), [(4, 4)])
