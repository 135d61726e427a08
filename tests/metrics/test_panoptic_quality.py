import keras
import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.detections import encode_masks
from keras_vtr.metrics import PanopticQuality

HEIGHT, WIDTH = 8, 10


def strip(first, last):
    """The columns from `first` on, before `last`."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, first:last] = True
    return mask


def truth(*masks, labels, **more):
    return {"labels": np.array([labels]), "masks": np.array([masks]), **more}


def found(*masks, labels):
    numbers = np.full((HEIGHT, WIDTH), -1)
    for i, mask in enumerate(masks):
        numbers[mask] = i
    return [{"segments": numbers, "labels": np.array(labels)}]


def judge(*pairs, **options):
    quality = PanopticQuality((HEIGHT, WIDTH), **options)
    for y_true, segments in pairs:
        quality.update_state(y_true, segments)
    return quality.result()


def test_an_overlap_above_a_half_is_a_match_of_that_quality():
    y_true = truth(strip(0, 4), labels=[3])
    result = judge((y_true, found(strip(1, 4), labels=[3])))
    assert result["SQ"] == result["PQ"] == pytest.approx(3 / 4)
    assert result["RQ"] == pytest.approx(1.0)
    # Exactly a half is none: one is wrong, one is missed.
    full = truth(strip(0, 2), strip(2, 10), labels=[3, 5])
    result = judge((full, found(strip(0, 1), strip(1, 10), labels=[3, 5])))
    assert result["PQ"] == pytest.approx((0 + 8 / 9) / 2)


def test_wrong_and_missed_segments_count_half():
    y_true = truth(strip(0, 3), strip(3, 6), strip(6, 10), labels=[1, 1, 2])
    segments = found(strip(0, 3), strip(3, 6), strip(6, 10), labels=[1, 2, 2])
    result = judge((y_true, segments))
    # Class 1: one of two; class 2: one, and one that is wrong.
    assert result["PQ"] == pytest.approx((1 / 1.5 + 1 / 1.5) / 2)
    assert result["SQ"] == pytest.approx(1.0)


def test_what_has_no_truth_does_not_count():
    y_true = truth(strip(0, 4), labels=[1])
    # Four of six columns are true, the other two belong to nothing.
    result = judge((y_true, found(strip(0, 6), labels=[1])))
    assert result["PQ"] == pytest.approx(1.0)
    # A segment mostly where nothing is true is no mistake.
    more = found(strip(0, 3), strip(3, 9), labels=[1, 1])
    assert judge((y_true, more))["PQ"] == pytest.approx(3 / 4)


def test_a_segment_within_a_crowd_of_its_class_is_no_mistake():
    crowds = {
        "crowd_labels": np.array([[1]]),
        "crowd_masks": np.array([[strip(4, 10)]]),
    }
    y_true = truth(strip(0, 4), labels=[1], **crowds)
    segments = found(strip(0, 4), strip(4, 9), labels=[1, 1])
    assert judge((y_true, segments))["PQ"] == pytest.approx(1.0)
    other = found(strip(0, 4), strip(4, 9), labels=[1, 2])
    assert judge((y_true, other))["PQ"] == pytest.approx(0.5)


def test_things_and_stuff_are_told_apart():
    y_true = truth(strip(0, 5), strip(5, 10), labels=[0, 7])
    segments = found(strip(0, 5), labels=[0])
    result = judge((y_true, segments), things=[0, 1, 2])
    assert result["PQ_things"] == pytest.approx(1.0)
    assert result["PQ_stuff"] == 0.0 and result["PQ"] == pytest.approx(0.5)
    assert np.isnan(judge((y_true, segments))["PQ_stuff"])


def test_masks_may_be_encoded_and_padding_is_nothing():
    masks = [strip(0, 5), strip(5, 10)]
    rles = [x["counts"].encode() for x in encode_masks(masks)]
    y_true = {
        "labels": np.array([[4, 2, -1]]),
        "rles": np.array([[*rles, b""]], object),
        "crowd_labels": np.array([[-1]]),
        "crowd_rles": np.array([[b""]], object),
        "image_shapes": np.array([[HEIGHT, WIDTH]], "float32"),
    }
    result = judge((y_true, found(*masks, labels=[4, 2])))
    assert result["PQ"] == pytest.approx(1.0)


def restated(y_true, segments):
    """By sets of pixels, from the definition, without crowds."""
    labels = y_true["labels"][0]
    true = [
        (label, set(map(tuple, np.argwhere(mask))))
        for label, mask in zip(labels, y_true["masks"][0], strict=True)
    ]
    somewhere = set().union(*(pixels for _, pixels in true))
    predicted = [
        (label, set(map(tuple, np.argwhere(segments["segments"] == i))))
        for i, label in enumerate(segments["labels"])
    ]
    qualities = []
    for label in {x for x, _ in [*true, *predicted]}:
        mine = [x for y, x in true if y == label]
        theirs = [x for y, x in predicted if y == label]
        ious = [
            len(a & b) / len(a | (b & somewhere)) for a in mine for b in theirs
        ]
        hits = [x for x in ious if x > 0.5]
        matched = [
            any(len(a & b) / len(a | (b & somewhere)) > 0.5 for a in mine)
            for b in theirs
        ]
        wrong = sum(
            not is_hit and len(b - somewhere) <= len(b) / 2
            for b, is_hit in zip(theirs, matched, strict=True)
        )
        missed = len(mine) - len(hits)
        total = len(hits) + wrong / 2 + missed / 2
        if total:
            qualities.append(sum(hits) / total)
    return np.mean(qualities)


def test_random_segments_have_the_quality_of_the_definition(rng):
    for _ in range(30):
        numbers = rng.integers(-1, 3, (2, HEIGHT, WIDTH))
        keep = rng.random((HEIGHT, WIDTH)) < 0.8
        numbers[1] = np.where(keep, numbers[0], numbers[1])
        labels = rng.integers(0, 2, (2, 3))
        masks = [numbers[0] == i for i in range(3)]
        y_true = truth(*masks, labels=labels[0])
        segments = {"segments": numbers[1], "labels": labels[1]}
        result = judge((y_true, [segments]))
        expected = restated(y_true, segments)
        assert result["PQ"] == pytest.approx(expected)


class Oracle:
    """Answers with the truth of digit scenes."""

    def __init__(self, y_true):
        self.y_true = {
            key: keras.ops.convert_to_numpy(x) for key, x in y_true.items()
        }

    def predict_on_batch(self, images):
        labels = self.y_true["labels"]
        logits = np.full((*labels.shape, 11), -9.0, "float32")
        np.put_along_axis(logits, labels[..., None] % 11, 9.0, axis=-1)
        return {
            "logits": logits,
            "masks": np.where(self.y_true["masks"], 9.0, -9.0),
        }


def test_a_model_is_evaluated():
    """The masks of one image don't cover it: every pixel goes to some mask."""
    scenes = digit_scenes("held_out", batch_size=4, num_scenes=4, masks=True)
    ((images, y_true),) = scenes
    quality = PanopticQuality((64, 64))
    result = quality.evaluate(Oracle(y_true), [(images, y_true)])
    assert result["PQ"] > 0.99


def test_wrong_input_is_refused():
    y_true = truth(strip(0, 4), labels=[1])
    with pytest.raises(ValueError, match="1 and 2 images"):
        judge((y_true, found(strip(0, 4), labels=[1]) * 2))
    with pytest.raises(ValueError, match=r"\(8, 10\), an image of \(4, 10\)"):
        judge((y_true, [{"segments": np.zeros((4, 10)), "labels": [1]}]))
    with pytest.raises(ValueError, match=r"dict with the keys \['masks'\]"):
        judge(({"labels": np.array([[1]])}, found(labels=[])))
    both = truth(strip(0, 4), strip(3, 6), labels=[1, 2])
    with pytest.raises(ValueError, match="must not overlap"):
        judge((both, found(strip(0, 4), labels=[1])))
    endless = digit_scenes("held_out", masks=True)
    with pytest.raises(ValueError, match="an infinite data set"):
        PanopticQuality((64, 64)).evaluate(None, endless)
    with pytest.raises(ValueError, match="needs `data`"):
        PanopticQuality((4, 4)).on_epoch_end(0, {})
