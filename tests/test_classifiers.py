import keras
import numpy as np
import pytest

from keras_vtr.classifiers import SIGMOID
from keras_vtr.classifiers import SOFTMAX
from keras_vtr.classifiers import classifier_of
from keras_vtr.detections import decode_detections
from keras_vtr.detections import decode_segments
from keras_vtr.visualization import draw_query_attention
from tests.layer_checks import to_numpy
from tests.tiny_models import color_detr


def test_both_kinds_know_their_classes_and_probabilities():
    logits = np.log([[[2.0, 1.0, 5.0]]]).astype("float32")
    assert SOFTMAX.num_classes(logits) == 2 and SIGMOID.num_classes(logits) == 3
    np.testing.assert_allclose(
        to_numpy(SOFTMAX.probabilities(logits)), [[[2 / 8, 1 / 8]]], rtol=1e-6
    )
    np.testing.assert_allclose(
        to_numpy(SIGMOID.probabilities(logits)),
        [[[2 / 3, 1 / 2, 5 / 6]]],
        rtol=1e-6,
    )
    assert not to_numpy(SOFTMAX.is_object(logits)).any()
    assert to_numpy(SIGMOID.is_object(logits)).all()


def test_a_sigmoid_starts_at_its_prior():
    detr = color_detr(classifier="sigmoid")
    head = detr.get_layer("class_head")
    bias = to_numpy(head.bias)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), 0.01, rtol=1e-5)
    assert detr.num_classes == 7 and head.units == 7


def test_outputs_say_which_kind_they_are():
    assert classifier_of({"logits": 0, "boxes": 0}) is SOFTMAX
    assert classifier_of({"sigmoid_logits": 0}) is SIGMOID
    for wrong in ({"boxes": 0}, {"logits": 0, "sigmoid_logits": 0}):
        with pytest.raises(ValueError, match=r"either 'logits'.*Received"):
            classifier_of(wrong)


def test_each_query_of_a_sigmoid_gives_its_most_probable_class():
    logits = np.array([[[-1.0, 3.0, 1.0], [2.0, -2.0, 0.0]]], "float32")
    boxes = np.array([[[0.5, 0.5, 0.2, 0.4], [0.2, 0.2, 0.2, 0.2]]], "float32")
    found = decode_detections(
        {"sigmoid_logits": logits, "boxes": boxes}, (100, 200)
    )
    np.testing.assert_array_equal(to_numpy(found["labels"]), [[1, 0]])
    np.testing.assert_allclose(
        to_numpy(found["scores"]),
        1 / (1 + np.exp([[-3.0, -2.0]])),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        to_numpy(found["boxes"])[0, 0], [80, 30, 120, 70], rtol=1e-5
    )


def test_logits_that_are_not_finite_detect_nothing():
    logits = np.array([[[np.nan, 3.0], [np.inf, 0.0], [1.0, 0.0]]], "float32")
    boxes = np.full((1, 3, 4), 0.5, "float32")
    found = decode_detections(
        {"sigmoid_logits": logits, "boxes": boxes}, (9, 9)
    )
    np.testing.assert_array_equal(to_numpy(found["labels"]), [[0, -1, -1]])


def test_segments_of_a_sigmoid():
    logits = np.full((1, 2, 3), -9.0)
    logits[0, 0, 1] = logits[0, 1, 2] = 9.0
    masks = np.ones((1, 2, 2, 4))
    masks[0, 0, :, :2] = 3.0
    outputs = {"sigmoid_logits": logits, "masks": masks}
    (found,) = decode_segments(outputs, (2, 4))
    np.testing.assert_array_equal(np.sort(found["labels"]), [1])
    outputs["sigmoid_logits"][0, 0, 1] = -0.4  # a probability of 0.40
    (found,) = decode_segments(outputs, (2, 4), score_threshold=0.3)
    assert 1 in found["labels"]


@pytest.mark.any_backend
def test_a_sigmoid_detector_is_saved_with_its_names(tmp_path):
    detr = color_detr(classifier="sigmoid", class_names=list("abcdefg"))
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    assert again.class_names == tuple("abcdefg")
    images = np.ones((1, 32, 48, 3), "float32")
    np.testing.assert_array_equal(
        to_numpy(again(images)["sigmoid_logits"]),
        to_numpy(detr(images)["sigmoid_logits"]),
    )


def test_attention_of_a_sigmoid_detector_is_drawn():
    detr = color_detr(classifier="sigmoid")
    picture = draw_query_attention(
        detr, np.zeros((32, 48, 3)), score_threshold=1.0, scale=2
    )
    assert picture.size == (96, 64)


def test_wrong_outputs_are_refused():
    outputs = {"sigmoid_logits": np.ones((1, 2)), "boxes": np.ones((1, 2, 4))}
    with pytest.raises(ValueError, match=r"'sigmoid_logits' \(B, Q, K\)"):
        decode_detections(outputs, (9, 9))
    with pytest.raises(ValueError, match="`classifier` must be one of"):
        color_detr(classifier="focal")
