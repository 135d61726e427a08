import importlib.util
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.models import build_eomt
from keras_vtr.models import build_yolos
from keras_vtr.serving import SelfCheckError
from keras_vtr.serving import export_classifier
from keras_vtr.serving import export_detector
from keras_vtr.serving import runtimes
from tests.serving.conftest import NAMES
from tests.serving.conftest import SIZE
from tests.tiny_models import randomize
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_rf_detr
from tests.tiny_models import tiny_vit


@pytest.fixture(params=runtimes.RUNTIMES)
def format(request):
    return request.param


def run(path, format, images):
    return runtimes.RUN[format](path / runtimes.RUNTIMES[format][0])(images)


@pytest.mark.slow
def test_a_runtime_answers_as_the_saved_model(
    detector, signatures, format, tmp_path, rng
):
    path = export_detector(detector[0], tmp_path / "detr", format=format)
    for num_images in (1, 5):
        images = rng.integers(0, 256, (num_images, *SIZE, 3), dtype="uint8")
        answer = run(path, format, images.astype("float32"))
        expected = signatures["images"](images=tf.constant(images))
        for key in ("boxes", "scores", "labels"):
            value = expected[key].numpy()
            assert answer[key].dtype == value.dtype
            np.testing.assert_allclose(answer[key], value, atol=1e-4)
    config = json.loads((path / "config.json").read_text())
    assert config["class_names"] == [x or "" for x in NAMES]


@pytest.mark.slow
def test_each_class_has_a_threshold_of_its_own(
    detector, signatures, format, tmp_path, rng
):
    images = rng.integers(0, 256, (5, *SIZE, 3), dtype="uint8")
    every = signatures["images"](images=tf.constant(images))
    scores, labels = every["scores"].numpy(), every["labels"].numpy()
    (common,) = np.bincount(labels.ravel()).argsort()[-1:]
    thresholds = np.ones(3)
    # Between two scores, so that rounding changes nothing.
    thresholds[common] = np.unique(scores[labels == common])[-3:-1].mean()
    path = export_detector(
        detector[0],
        tmp_path / "detr",
        format=format,
        class_names=["one", "two", "three"],
        score_threshold=thresholds,
    )
    answer = run(path, format, images.astype("float32"))
    is_found = scores >= thresholds[labels]
    assert is_found.any() and (answer["labels"] >= 0).sum() == is_found.sum()
    np.testing.assert_array_equal(
        (answer["labels"] >= 0).sum(axis=1), is_found.sum(axis=1)
    )
    config = json.loads((path / "config.json").read_text())
    assert config["score_threshold"] == dict(
        zip(["one", "two", "three"], thresholds, strict=True)
    )


def small_vit():
    return tiny_vit(image_shape=(32, 32, 1), patch_size=16)


DETECTORS = {
    "modern": lambda: tiny_detr(size="modern_small", num_queries=3, masks=True),
    "rf_detr": tiny_rf_detr,
    "rf_detr, masks": lambda: tiny_rf_detr(masks=True),
    "eomt": lambda: build_eomt(
        3, small_vit(), num_queries=3, num_query_blocks=1
    ),
    "yolos": lambda: build_yolos(
        3, small_vit(), num_queries=3, positions_between_blocks=True
    ),
}


@pytest.mark.parametrize(
    ("format", "model"),
    [
        # Each model once, and the others.
        pytest.param("openvino", "vit", marks=pytest.mark.slow),
        pytest.param("litert", "modern", marks=pytest.mark.long),
        pytest.param("onnx", "modern", marks=pytest.mark.slow),
        pytest.param("onnx", "vit", marks=pytest.mark.long),
        pytest.param("openvino", "modern", marks=pytest.mark.long),
        pytest.param("litert", "vit", marks=pytest.mark.long),
        pytest.param("litert", "eomt", marks=pytest.mark.slow),
        pytest.param("onnx", "eomt", marks=pytest.mark.long),
        pytest.param("openvino", "eomt", marks=pytest.mark.slow),
        pytest.param("litert", "yolos", marks=pytest.mark.long),
        pytest.param("onnx", "yolos", marks=pytest.mark.slow),
        pytest.param("openvino", "yolos", marks=pytest.mark.long),
        pytest.param("onnx", "rf_detr", marks=pytest.mark.long),
        pytest.param("litert", "rf_detr", marks=pytest.mark.long),
        pytest.param("openvino", "rf_detr", marks=pytest.mark.long),
        pytest.param("onnx", "rf_detr, masks", marks=pytest.mark.slow),
        pytest.param("litert", "rf_detr, masks", marks=pytest.mark.slow),
        pytest.param("openvino", "rf_detr, masks", marks=pytest.mark.slow),
    ],
)
def test_other_models_can_be_exported(format, model, tmp_path):
    if model == "vit":
        path = export_classifier(
            randomize(tiny_vit()), tmp_path / model, format=format
        )
    else:
        # Masks are compared, too.
        detector = DETECTORS[model]()
        path = export_detector(
            randomize(detector), tmp_path / model, format=format
        )
    assert (path / runtimes.RUNTIMES[format][0]).exists()


@pytest.mark.slow
def test_int8_is_smaller_and_answers_nearly_alike(tmp_path, rng):
    model = tiny_detr(mlp_dim=512, hidden_dim=64)
    images = rng.uniform(0, 255, (8, 16, 16, 1)).astype("float32")
    full = export_detector(model, tmp_path / "detr", format="onnx")
    small = export_detector(
        model, tmp_path / "detr", format="onnx", calibration_images=images
    )
    assert small.name == "2"
    sizes = [(x / "model.onnx").stat().st_size for x in (full, small)]
    assert sizes[1] < 0.5 * sizes[0]
    expected = run(full, "onnx", images)
    answer = run(small, "onnx", images)
    error = np.abs(answer["scores"] - expected["scores"])
    # Without `reduce_range` 0.22 on a processor without VNNI, with it 0.02.
    assert 0 < error.max() < 0.1


@pytest.mark.slow
def test_a_runtime_with_other_outputs_is_refused(tmp_path, monkeypatch):
    def wrong(path):
        run_right = right(path)
        return lambda images: {
            key: x + 0.01 * (key == "boxes")
            for key, x in run_right(images).items()
        }

    right = runtimes.RUN["onnx"]
    monkeypatch.setitem(runtimes.RUN, "onnx", wrong)
    with pytest.raises(SelfCheckError, match="differ from the model's by"):
        export_detector(tiny_detr(), tmp_path / "detr", format="onnx")
    assert not list((tmp_path / "detr").iterdir())


def test_the_order_of_equal_scores_does_not_matter(rng):
    expected = {
        "boxes": rng.uniform(size=(2, 5, 4)),
        "scores": np.full((2, 5), 0.5),
        "labels": rng.integers(0, 9, size=(2, 5)),
    }
    found = {key: x[:, ::-1] for key, x in expected.items()}
    assert runtimes._errors(found, expected, 10).max() == 0.0
    found["boxes"] = found["boxes"] + [0.0, 0.0, 0.0, 0.2]
    np.testing.assert_allclose(
        runtimes._errors(found, expected, 10).max(), 0.02
    )
    found = {key: x[:1] for key, x in expected.items()}
    assert runtimes._errors(found, expected, 10).max() == np.inf


def test_thousands_of_classes_are_compared_by_their_scores(rng):
    scores = np.sort(rng.uniform(size=(3, 50_000)))[:, ::-1]
    expected = {"scores": scores, "labels": np.argsort(scores)}
    found = {"scores": scores + 0.5, "labels": expected["labels"][:, ::-1]}
    np.testing.assert_allclose(runtimes._errors(found, expected, 10).max(), 0.5)


@pytest.mark.parametrize("shape", [(4, 16, 16), (4, 16, 8, 1), (0,)])
def test_calibration_images_are_the_model_s(tmp_path, shape):
    with pytest.raises(ValueError, match=r"Received: shape=\("):
        export_detector(
            tiny_detr(),
            tmp_path / "detr",
            format="onnx",
            calibration_images=np.zeros(shape),
        )
    assert not (tmp_path / "detr").exists()


def test_a_missing_package_is_named(format, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"extra '{format}'"):
        export_detector(tiny_detr(), tmp_path / "detr", format=format)
    assert not (tmp_path / "detr").exists()


def test_one_query_in_ten_may_change_its_class_if_rounding_does_it():
    flipped = np.array([*[1e-6] * 19, 0.7])
    wrong = np.full(20, 0.2)
    right = np.full(20, 1e-6)
    # A model of which rounding changes nothing must be right everywhere.
    for errors, own, is_right in (
        (right, right, True),
        (flipped, right, False),
        (flipped, flipped, True),
        (wrong, flipped, False),
        (wrong, wrong, False),
    ):
        error, most = runtimes._error_and_limit(errors, own)
        assert (error <= most) == is_right
