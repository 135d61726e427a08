import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.serving import export_detector
from keras_vtr.serving import self_check
from keras_vtr.serving.self_check import SelfCheckError
from keras_vtr.serving.self_check import check_answer
from keras_vtr.serving.self_check import check_export
from tests.tiny_models import tiny_detr


def half(x):
    return {"scores": tf.cast(x, tf.float16)}


def doubled(x):
    return {"scores": 2.0 * x}


def summed(x):
    return {"scores": tf.reduce_sum(x)}


def saved(answer, folder):
    module = tf.Module()
    spec = tf.TensorSpec((None, 2), tf.float32, "x")
    module.f = tf.function(answer)
    signatures = {"images": module.f.get_concrete_function(x=spec)}
    tf.saved_model.save(module, str(folder), signatures)
    return signatures


IMAGES = {"x": np.ones((3, 2), "float32")}
REQUESTS = {"images": IMAGES}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "expected", "message"),
    [
        (doubled, lambda x: {"scores": x}, "scores of images"),
        (summed, summed, "scores of images"),  # of an empty batch
    ],
)
def test_an_export_with_other_outputs_is_refused(
    tmp_path, written, expected, message
):
    saved(written, tmp_path / "model")
    functions = {"images": tf.function(expected)}
    with pytest.raises(SelfCheckError, match=message):
        check_export(tmp_path / "model", functions, REQUESTS, tmp_path)


def test_a_model_that_diverged_is_refused(tmp_path):
    functions = {"images": lambda x: {"scores": x / 0.0}}
    with pytest.raises(SelfCheckError, match="not finite"):
        check_export(tmp_path / "model", functions, REQUESTS, tmp_path)


@pytest.mark.parametrize(
    ("written", "expected", "message"),
    [
        (
            doubled,
            lambda x: {"scores": 2 * x, "ok": x},
            "images has the outputs",
        ),
        (half, half, "scores of images is float16"),
        (summed, doubled, "scores of images has shape"),
    ],
)
def test_an_answer_has_the_keys_types_and_shapes(written, expected, message):
    answer = {k: np.asarray(x) for k, x in expected(IMAGES["x"]).items()}
    with pytest.raises(SelfCheckError, match=message):
        check_answer("images", written, IMAGES, answer)


@pytest.mark.slow
def test_an_export_that_needs_python_is_refused(tmp_path):
    def with_python(x):
        return {"scores": tf.ensure_shape(python(x), (None, 2))}

    def python(x):
        return tf.py_function(lambda x: 2.0 * x, [x], tf.float32)

    signatures = saved(with_python, tmp_path / "model")
    with pytest.raises(SelfCheckError, match="without Keras"):
        check_export(tmp_path / "model", signatures, REQUESTS, tmp_path)


@pytest.mark.slow
def test_one_that_agrees_passes_and_its_warm_up_is_replayed(detector, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(detector[1], folder)
    records = list(tf.data.TFRecordDataset(str(folder / self_check.WARMUP)))
    assert len(records) == 2
    loaded = tf.saved_model.load(folder)
    self_check.replay(folder / self_check.WARMUP, loaded.signatures)
    with tf.io.TFRecordWriter(str(folder / self_check.WARMUP)) as writer:
        writer.write(b"broken")
    requests = {"images": {"images": np.zeros((3, 5, 7, 3), "uint8")}}
    functions = {"images": loaded.signatures["images"]}
    with pytest.raises(SelfCheckError, match="Error"):
        check_export(folder, functions, requests, tmp_path)


def test_warm_up_requests_are_tf_serving_s(detector):
    from tensorflow_serving.apis import prediction_log_pb2

    path = detector[1] / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    sizes = []
    for log in logs:
        request = log.predict_log.request
        assert request.model_spec.name == "detr"
        assert request.model_spec.signature_name == "serving_default"
        sizes.append(len(tf.make_ndarray(request.inputs["image_bytes"])))
    assert sizes == [1, 2]


@pytest.mark.slow
def test_without_the_package_warm_up_is_refused(tmp_path, monkeypatch):
    for name in ("tensorflow_serving", "tensorflow_serving.apis"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match='extra "serving"'):
        export_detector(tiny_detr(), tmp_path / "m", warmup_batch_sizes=(1,))
    assert not list((tmp_path / "m").iterdir())
