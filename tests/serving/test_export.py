import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.models import decode_detections
from keras_vtr.serving import export_detector
from tests.layer_checks import to_numpy
from tests.models.test_detection_model import batch
from tests.models.test_detection_model import tiny_detr

LOAD_WITHOUT_KERAS = """
import sys
import numpy as np
import tensorflow as tf
sys.modules["keras"] = None  # importing it fails from here on
loaded = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2])
detect = loaded.signatures["serving_default"]
answer = detect(images=tf.constant(data["images"]))
for key, value in answer.items():
    np.testing.assert_allclose(value.numpy(), data[key], atol=1e-5)
print("equal")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    keras.utils.set_random_seed(7)
    model = tiny_detr()
    path = export_detector(model, tmp_path_factory.mktemp("models") / "detr")
    return model, path


def test_the_signature_answers_as_the_model_does(exported, rng):
    model, path = exported
    signature = tf.saved_model.load(path).signatures["serving_default"]
    for num_images in (1, 3):
        images = batch(rng, num_images)[0]
        answer = signature(images=tf.constant(images))
        assert {key: x.dtype.name for key, x in answer.items()} == {
            "boxes": "float32",
            "scores": "float32",
            "labels": "int32",
        }
        expected = decode_detections(model(images), (16, 16))
        for key, value in expected.items():
            assert answer[key].shape == value.shape
            np.testing.assert_allclose(answer[key], to_numpy(value), atol=1e-4)


def test_an_empty_batch_is_answered(exported):
    _, path = exported
    signature = tf.saved_model.load(path).signatures["serving_default"]
    answer = signature(images=tf.zeros((0, 16, 16, 1)))
    shapes = {key: tuple(value.shape) for key, value in answer.items()}
    assert shapes == {"boxes": (0, 4, 4), "scores": (0, 4), "labels": (0, 4)}


def test_it_runs_in_a_process_without_keras(exported, rng, tmp_path):
    model, path = exported
    images = batch(rng, 2)[0]
    detections = decode_detections(model(images), (16, 16))
    arrays = {key: to_numpy(value) for key, value in detections.items()}
    np.savez(tmp_path / "data.npz", images=images, **arrays)
    run = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_KERAS, path, tmp_path / "data.npz"],
        capture_output=True,
        text=True,
    )
    assert "equal" in run.stdout, run.stderr[-2000:]


def test_the_graph_holds_no_python_and_no_xla(exported):
    _, path = exported
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    assert not {node.op for node in nodes} & {"PyFunc", "EagerPyFunc"}
    for item in (*nodes, *functions):
        attribute = item.attr.get("_XlaMustCompile")
        assert attribute is None or not attribute.b


def test_versions_count_up_and_nothing_is_overwritten(tmp_path):
    model = tiny_detr()
    folder = tmp_path / "detr"
    assert export_detector(model, folder) == folder / "1"
    (folder / "7").mkdir()
    (folder / "notes").mkdir()
    assert export_detector(model, folder, max_detections=2) == folder / "8"
    assert {path.name for path in folder.iterdir()} == {
        "1",
        "7",
        "8",
        "notes",
    }


def test_a_failed_export_leaves_no_version(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        export_detector(tiny_detr(), tmp_path / "detr")
    assert not any(p.name.isdigit() for p in (tmp_path / "detr").iterdir())


def test_images_of_any_size_are_answered_in_their_own_pixels(tmp_path, rng):
    model = tiny_detr(image_shape=(None, None, 1))
    path = export_detector(model, tmp_path / "detr", max_detections=2)
    signature = tf.saved_model.load(path).signatures["serving_default"]
    images = rng.uniform(0, 255, size=(1, 24, 40, 1)).astype("float32")
    answer = signature(images=tf.constant(images))
    expected = decode_detections(model(images), (24, 40), 2)
    np.testing.assert_allclose(
        answer["boxes"], to_numpy(expected["boxes"]), atol=1e-4
    )


def test_only_a_detector_can_be_exported(tmp_path):
    images = keras.Input((8, 8, 1))
    classifier = keras.Model(images, keras.layers.Flatten()(images))
    with pytest.raises(ValueError, match="must be a functional detector"):
        export_detector(classifier, tmp_path / "model")
    assert not (tmp_path / "model").exists()
