import pathlib

import numpy as np
import pytest

from keras_vtr.detections import segment
from keras_vtr.models import decode_segments
from tests.tiny_models import color_detr

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "panoptic.npz"


@pytest.mark.parametrize("seed", range(11))
def test_segments_equal_the_reference_s(seed):
    golden = np.load(GOLDEN)
    outputs = {key: golden[f"{seed}/{key}"] for key in ("logits", "masks")}
    (found,) = decode_segments(outputs, (40, 56, 3), target_shape=(61, 85))
    assert len(found["labels"]) > 0
    np.testing.assert_array_equal(
        found["labels"], golden[f"{seed}/category_id"]
    )
    np.testing.assert_array_equal(found["areas"], golden[f"{seed}/area"])
    np.testing.assert_array_equal(found["is_thing"], golden[f"{seed}/isthing"])
    np.testing.assert_array_equal(found["segments"], golden[f"{seed}/segments"])


def test_an_image_without_objects_has_no_segments():
    golden = np.load(GOLDEN)
    outputs = {key: golden[f"11/{key}"] for key in ("logits", "masks")}
    (found,) = decode_segments(outputs, (40, 56))
    assert found["segments"].shape == (40, 56)
    assert (found["segments"] == -1).all() and len(found["labels"]) == 0


def test_stuff_becomes_one_segment_and_things_stay_two():
    masks = np.full((1, 2, 4, 8), -3.0)
    masks[0, 0, :, :4] = masks[0, 1, :, 4:] = 3.0
    for label, is_thing in ((1, True), (3, False)):
        logits = np.full((1, 2, 6), -9.0)
        logits[..., label] = 9.0
        outputs = {"logits": logits, "masks": masks}
        (found,) = decode_segments(outputs, (4, 8), things={1, 2})
        assert found["is_thing"].all() == is_thing
        assert len(found["labels"]) == 1 + is_thing
        assert found["areas"].sum() == 32


@pytest.mark.parametrize("change", [{}, {"padding": "published"}])
def test_pictures_of_any_size_are_divided(change, rng):
    names = [f"class {i}" for i in range(7)]
    detr = color_detr(
        hidden_dim=16, num_heads=8, masks=True, class_names=names, **change
    )
    detr.get_layer("class_head").bias.assign([9.0] + 7 * [0.0])
    images = [
        rng.integers(0, 255, (*s, 3), "uint8") for s in ((23, 37), (64, 48))
    ]
    options = {"things": [0], "score_threshold": 0.5}
    for image, found in zip(
        images, segment(detr, images, **options), strict=True
    ):
        assert found["segments"].shape == image.shape[:2]
        assert found["areas"].sum() == found["segments"].size
        assert set(found["names"]) == {"class 0"} and found["is_thing"].all()
    with pytest.raises(ValueError, match="must have masks: build it with"):
        segment(color_detr(), images)
    with pytest.raises(ValueError, match=r"not their names.*'cat'"):
        segment(detr, images, things=["cat"])


def test_outputs_without_masks_are_refused():
    with pytest.raises(ValueError, match="must be a dict with the keys"):
        decode_segments({"logits": np.zeros((1, 2, 3))}, (4, 8))


def test_no_image_has_no_segments():
    empty = {"logits": np.zeros((0, 3, 4)), "masks": np.zeros((0, 3, 4, 4))}
    assert decode_segments(empty, (4, 4)) == []


@pytest.mark.parametrize("key", ["logits", "sigmoid_logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_query_without_finite_scores_has_no_segment(key, value):
    logits = np.full((1, 2, 3), -9.0, "float32")
    logits[0, 0, 0] = value
    outputs = {key: logits, "masks": np.ones((1, 2, 4, 8), "float32")}
    (found,) = decode_segments(outputs, (4, 8), score_threshold=0.5)
    assert len(found["labels"]) == 0 and (found["segments"] == -1).all()
