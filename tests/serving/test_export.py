import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_vtr.models import decode_detections
from keras_vtr.serving import SelfCheckError
from keras_vtr.serving import export_detector
from keras_vtr.serving.exporter import _Answer
from tests.data import picture_files as pictures
from tests.layer_checks import to_numpy
from tests.serving.conftest import NAMES
from tests.serving.conftest import SIZE
from tests.tiny_models import tiny_detr

TYPES = {
    "boxes": "float32",
    "scores": "float32",
    "labels": "int32",
    "label_names": "object",
    "ok": "int32",
}


def expected_of(model, image, **options):
    """The detections in an image (height, width, 3) of any size."""
    resized = tf.image.resize(image, SIZE, antialias=True)
    detections = decode_detections(model(resized[None]), image.shape, **options)
    return {key: to_numpy(x)[0] for key, x in detections.items()}


def test_bytes_become_detections_in_the_picture_s_own_pixels(detector, ask):
    images = [
        pictures.kinds()["jpeg"],
        pictures.encode(pictures.picture(40, 30, seed=1)),
        pictures.turned_jpeg(6),
    ]
    answer = ask(images)
    assert {key: x.dtype.name for key, x in answer.items()} == TYPES
    assert answer["ok"].tolist() == [1, 1, 1]
    for i, image_bytes in enumerate(images):
        expected = expected_of(detector[0], pictures.decoded(image_bytes))
        for key, value in expected.items():
            np.testing.assert_allclose(answer[key][i], value, atol=1e-3)
        names = [NAMES[int(x)] or "" for x in expected["labels"]]
        assert [x.decode() for x in answer["label_names"][i]] == names


def test_decoded_images_get_the_same_answer(ask, signatures):
    images = np.stack([np.array(pictures.picture(seed=i)) for i in range(3)])
    answer = signatures["images"](images=tf.constant(images))
    encoded = ask([pictures.encode(pictures.picture(seed=i)) for i in range(3)])
    for key, value in encoded.items():
        np.testing.assert_array_equal(answer[key], value)


def test_raw_gives_what_the_model_gives(detector, signatures, rng):
    images = rng.uniform(0, 255, size=(2, *SIZE, 3)).astype("float32")
    answer = signatures["raw"](images=tf.constant(images))
    assert set(answer) == {"logits", "boxes"}
    expected = detector[0](images)
    for key, value in answer.items():
        np.testing.assert_allclose(value, to_numpy(expected[key]), atol=1e-5)


def test_a_bad_row_harms_no_other(ask):
    # Batches of equal size: the order of summation may depend on the size.
    one, two = pictures.kinds()["jpeg"], pictures.kinds()["png"]
    expected = ask([two, one, two, two, one])
    among = ask([b"", one, pictures.bad()["garbage"], two, b"\xff\xd8"])
    assert expected["ok"].all() and among["ok"].tolist() == [0, 1, 0, 1, 0]
    for key, value in expected.items():
        np.testing.assert_array_equal(among[key][[1, 3]], value[[1, 3]])
    bad = {key: x[[0, 2, 4]] for key, x in among.items()}
    assert (bad["labels"] == -1).all() and not bad["label_names"].any()
    assert not bad["boxes"].any() and not bad["scores"].any()


def test_a_batch_is_its_rows(ask):
    images = [pictures.encode(pictures.picture(seed=i)) for i in range(5)]
    together = ask(images)
    first, rest = ask(images[:2]), ask(images[2:])
    for key in ("scores", "boxes"):
        both = np.concatenate([first[key], rest[key]])
        np.testing.assert_allclose(together[key], both, atol=1e-4)


def test_empty_batches_are_answered(ask, signatures):
    shapes = {"boxes": (0, 4, 4), "scores": (0, 4), "labels": (0, 4)}
    shapes |= {"label_names": (0, 4), "ok": (0,)}
    assert {key: x.shape for key, x in ask([]).items()} == shapes
    answer = signatures["images"](images=tf.zeros((0, 5, 7, 3), tf.uint8))
    assert {key: tuple(x.shape) for key, x in answer.items()} == shapes
    answer = signatures["raw"](images=tf.zeros((0, *SIZE, 3)))
    assert answer["logits"].shape == (0, 4, 4)


def test_the_graph_holds_no_python_no_xla_and_no_table(detector):
    saved = saved_model_pb2.SavedModel()
    content = (detector[1] / "saved_model.pb").read_bytes()
    saved.ParseFromString(content)
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    operations = {node.op for node in nodes}
    assert "MatMul" in operations
    assert not operations & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
    assert not {name for name in operations if "Table" in name}
    for item in (*nodes, *functions):
        assert not item.attr["_XlaMustCompile"].b  # False where it is not set


def test_names_and_configuration_travel_with_the_model(detector):
    config = json.loads((detector[1] / "assets" / "config.json").read_text())
    assert config["class_names"] == ["one", "two, really", ""]
    assert config["task"] == "detection" and config["num_classes"] == 3
    assert config["image_shape"] == [*SIZE, 3]
    assert config["resizing"] == {"kind": "stretched"}
    assert config["versions"]["keras"] == keras.__version__


THRESHOLDS = [0.2, 0.3, 0.25]


@pytest.mark.slow
def test_a_padded_model_takes_pictures_of_several_sizes(tmp_path, rng):
    model = tiny_detr(image_shape=(None, None, 3), padding="published")
    path = export_detector(
        model,
        tmp_path / "detr",
        short_side=24,
        longest_side=40,
        max_detections=2,
        score_threshold=THRESHOLDS,
    )
    loaded = tf.saved_model.load(path)
    detect = loaded.signatures["serving_default"]
    wide = pictures.encode(pictures.picture(30, 90))
    tall = pictures.encode(pictures.picture(50, 20))
    answer = detect(image_bytes=tf.constant([wide, b"bad", tall]))
    assert answer["ok"].numpy().tolist() == [1, 0, 1]
    # The longest side limits the first one, the short side the other.
    for i, image_bytes, size in ((0, wide, (13, 40)), (2, tall, (40, 16))):
        image = pictures.decoded(image_bytes)
        canvas = np.zeros((1, 40, 40, 3), "float32")
        mask = np.zeros((1, 40, 40), bool)
        resized = tf.image.resize(image, size, antialias=True)
        canvas[0, : size[0], : size[1]] = resized
        mask[0, : size[0], : size[1]] = True
        outputs = model({"images": canvas, "padding_mask": mask})
        expected = decode_detections(outputs, image.shape, 2, THRESHOLDS)
        for key, value in expected.items():
            np.testing.assert_allclose(
                answer[key][i], to_numpy(value)[0], atol=1e-3
            )
    raw = loaded.signatures["raw"].structured_input_signature[1]
    assert set(raw) == {"images", "padding_mask"}


def test_half_precision_does_not_round_what_other_formats_answer():
    boxes = np.array([[[100.123, 200.456, 639.987, 479.321]]], "float32")
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        layer = _Answer(lambda outputs, image_size: outputs, SIZE)
        np.testing.assert_array_equal(to_numpy(layer(boxes)), boxes)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.slow
def test_a_model_of_any_size_may_have_fewer_tokens_than_queries(tmp_path):
    model = tiny_detr(
        size="modern_small", image_shape=(None, None, 3), num_queries=150
    )
    path = export_detector(model, tmp_path / "detr", image_size=(24, 40))
    raw = tf.saved_model.load(path).signatures["raw"]
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 40, 3))
    images = images.astype("float32")
    answer, expected = raw(images=tf.constant(images)), model(images)
    assert answer["boxes"].shape == (2, 150, 4)
    np.testing.assert_allclose(answer["boxes"], expected["boxes"], atol=1e-5)


@pytest.mark.slow
def test_a_padded_model_of_fixed_size_keeps_the_picture_s_form(tmp_path):
    model = tiny_detr(image_shape=(*SIZE, 3), padding="published")
    path = export_detector(model, tmp_path / "detr")
    detect = tf.saved_model.load(path).signatures["serving_default"]
    image_bytes = pictures.encode(pictures.picture(60, 40))
    answer = detect(image_bytes=tf.constant([image_bytes]))
    resized = tf.image.resize(
        pictures.decoded(image_bytes), (24, 16), antialias=True
    )
    canvas = np.zeros((1, *SIZE, 3), "float32")
    canvas[0, :, :16] = resized
    mask = np.zeros((1, *SIZE), bool)
    mask[:, :, :16] = True
    outputs = model({"images": canvas, "padding_mask": mask})
    expected = decode_detections(outputs, (60, 40))
    np.testing.assert_allclose(
        answer["boxes"], to_numpy(expected["boxes"]), atol=1e-3
    )


@pytest.mark.slow
def test_a_diverged_model_is_not_published(tmp_path):
    model = tiny_detr(image_shape=(*SIZE, 3))
    weight = model.get_layer("input_projection").kernel
    weight.assign(weight * np.nan)
    with pytest.raises(SelfCheckError, match="not finite"):
        export_detector(model, tmp_path / "detr")
    assert not list((tmp_path / "detr").iterdir())


def test_only_a_detector_can_be_exported(tmp_path):
    images = keras.Input((8, 8, 1))
    classifier = keras.Model(images, keras.layers.Flatten()(images))
    for wrong in (classifier, None, keras.Sequential()):
        with pytest.raises(ValueError, match="`model` must be a functional"):
            export_detector(wrong, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@functools.cache
def shared_detr(shape, padding):
    return tiny_detr(image_shape=shape, padding=padding)


@pytest.mark.parametrize(
    ("shape", "padding", "options", "message"),
    [
        ((None, None, 3), None, {}, "needs `image_size`"),
        ((16, 16, 1), None, {"image_size": (8, 8)}, "of free size without"),
        ((None, None, 1), None, {"image_size": 8}, r"must be \(height, width"),
        ((16, 16, 1), None, {"format": "torch"}, "must be one of"),
        ((16, 16, 1), None, {"class_names": ["a", "b"]}, "2 names"),
        ((16, 16, 1), None, {"class_names": ["a", "b", 3]}, "one string for"),
        ((16, 16, 1), None, {"version": 0}, "an integer, 1 or more"),
        ((16, 16, 1), None, {"score_threshold": 2.0}, "within"),
        ((16, 16, 1), None, {"score_threshold": {"cow": 0.3}}, "have no names"),
        ((16, 16, 1), None, {"max_detections": 0}, "1 or more"),
        ((16, 16, 1), "published", {"format": "onnx"}, "one input"),
        ((16, 16, 1), None, {"calibration_images": []}, "for int8 in the for"),
        (
            (16, 16, 1),
            None,
            {"format": "onnx", "warmup_batch_sizes": (1,)},
            "for TF Serving",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path, shape, padding, options, message
):
    model = shared_detr(shape, padding)
    with pytest.raises(ValueError, match=message):
        export_detector(model, tmp_path / "model", **options)
    assert not list(tmp_path.glob("model/*"))


def test_another_backend_is_refused(tmp_path, monkeypatch):
    model = tiny_detr()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"KERAS_BACKEND=tensorflow.*'jax'"):
        export_detector(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()
