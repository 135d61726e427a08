"""RF-DETR as a SavedModel; tests/serving/test_runtimes.py has other formats."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.detections import detect
from keras_vtr.serving import export_detector
from tests.data import picture_files as pictures
from tests.layer_checks import to_numpy
from tests.serving.conftest import opened
from tests.tiny_models import pixels
from tests.tiny_models import randomize
from tests.tiny_models import tiny_rf_detr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image_shape", "masks", "image_size"),
    [((32, 32, 3), False, None), ((None, None, 3), True, (32, 48))],
)
def test_a_saved_model_answers_as_the_model(
    image_shape, masks, image_size, tmp_path, rng
):
    keras.utils.set_random_seed(3)
    model = randomize(tiny_rf_detr(image_shape, masks=masks))
    path = export_detector(model, tmp_path / "detr", image_size=image_size)
    signatures = tf.saved_model.load(path).signatures
    encoded = [
        pictures.encode(pictures.picture(*x)) for x in ((40, 30), (9, 70))
    ]
    answer = signatures["serving_default"](image_bytes=tf.constant(encoded))
    answer = {key: x.numpy() for key, x in answer.items()}
    expected = detect(
        model,
        [pictures.decoded(x) for x in encoded],
        score_threshold=0.0,
        image_size=image_size,
    )
    for i, one in enumerate(expected):
        for key in ("boxes", "scores", "labels"):
            np.testing.assert_allclose(answer[key][i], one[key], atol=1e-3)
        if masks:
            found = [opened(x) > 0 for x in answer["mask_bytes"][i]]
            assert np.mean(np.stack(found) != one["masks"]) < 1e-3
    images = pixels(rng, 2, *(image_size or image_shape[:2]), 3)
    raw, expected = signatures["raw"](images=tf.constant(images)), model(images)
    assert set(raw) == {
        "sigmoid_logits",
        "boxes",
        *(["masks"] if masks else []),
    }
    for key, value in raw.items():
        right = to_numpy(expected[key])
        atol = 1e-4 * max(1.0, np.abs(right).max())
        np.testing.assert_allclose(value, right, rtol=0, atol=atol)
