import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.serving import export_classifier
from keras_vtr.serving import export_features
from tests.data import picture_files as pictures
from tests.layer_checks import to_numpy
from tests.tiny_models import randomize
from tests.tiny_models import tiny_vit


def free_vit(num_classes=3):
    return tiny_vit(num_classes, image_shape=(None, None, 3), position="sine")


@pytest.mark.slow
def test_a_classifier_answers_with_the_best_labels(tmp_path):
    model = randomize(tiny_vit())
    path = export_classifier(
        model,
        tmp_path / "vit",
        class_names=("a", "b", "c"),
        max_labels=2,
        resizing=keras.layers.Resizing(24, 32, crop_to_aspect_ratio=True),
    )
    loaded = tf.saved_model.load(path)
    image_bytes = pictures.kinds()["jpeg"]
    answer = loaded.signatures["serving_default"](
        image_bytes=tf.constant([image_bytes, b""])
    )
    image = keras.layers.Resizing(24, 32, crop_to_aspect_ratio=True)(
        pictures.decoded(image_bytes).astype("float32")
    )
    logits = model(image[None])
    scores = to_numpy(keras.ops.softmax(logits))[0]
    best = np.argsort(-scores)[:2]
    np.testing.assert_allclose(answer["scores"][0], scores[best], atol=1e-5)
    assert answer["labels"].numpy().tolist() == [best.tolist(), [-1, -1]]
    names = [b"abc"[i : i + 1] for i in best]
    assert answer["label_names"].numpy().tolist() == [names, [b"", b""]]
    assert answer["ok"].numpy().tolist() == [1, 0]
    raw = loaded.signatures["raw"](images=image[None])
    np.testing.assert_allclose(raw["logits"], to_numpy(logits), atol=1e-5)


@pytest.mark.slow
def test_features_are_what_the_model_gives(tmp_path):
    model = randomize(free_vit(0))
    path = export_features(
        model, tmp_path / "vit", resizing=keras.layers.Resizing(16, 24)
    )
    loaded = tf.saved_model.load(path)
    images = np.array(pictures.picture(16, 24))[None]
    expected = to_numpy(model(images.astype("float32")))
    for name in ("images", "raw"):
        dtype = "uint8" if name == "images" else "float32"
        answer = loaded.signatures[name](images=images.astype(dtype))
        np.testing.assert_allclose(answer["features"], expected, atol=1e-4)
    answer = loaded.signatures["serving_default"](image_bytes=[b"bad"])
    assert not answer["features"].numpy().any() and not answer["ok"].numpy()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resizing": keras.layers.Resizing(8, 8)}, "of the model's size"),
        ({"resizing": 24}, "must be a keras.layers.Resizing"),
        (
            {
                "resizing": keras.layers.Resizing(
                    24, 32, data_format="channels_first"
                )
            },
            "with channels last",
        ),
        (
            {
                "resizing": keras.layers.Resizing(
                    24, 32, pad_to_aspect_ratio=True
                )
            },
            "without `pad_to_aspect_ratio`",
        ),
        ({"max_labels": 4}, "must be 1 to 3"),
        ({"class_names": ["a"]}, "1 names"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_classifier(tiny_vit(), tmp_path / "vit", **options)
    assert not (tmp_path / "vit").exists()


def test_a_free_size_needs_a_resizing(tmp_path):
    with pytest.raises(ValueError, match="needs `resizing`"):
        export_classifier(free_vit(), tmp_path)


def test_only_one_input_and_output_can_be_exported(tmp_path):
    images = keras.Input((24, 32, 3))
    for wrong in (None, keras.Model(images, [images]), keras.Sequential()):
        with pytest.raises(ValueError, match="`model` must be a functional"):
            export_classifier(wrong, tmp_path)
        with pytest.raises(ValueError, match="`model` must be a functional"):
            export_features(wrong, tmp_path)


@pytest.mark.slow
def test_a_model_around_a_vit_is_exported_with_its_class_names(tmp_path):
    photo = keras.Input((24, 32, 3), name="photo")
    vit = randomize(tiny_vit(class_names=["a", None, "c"]))
    inside = keras.Sequential([photo, vit, keras.layers.Softmax()])
    model = keras.Model({"photo": photo}, inside(photo))
    path = export_classifier(model, tmp_path / "vit", from_logits=False)
    loaded = tf.saved_model.load(path)
    image = pictures.picture(24, 32)
    answer = loaded.signatures["images"](images=np.array(image)[None])
    scores = to_numpy(keras.ops.softmax(vit(np.array(image)[None])))[0]
    best = np.argsort(-scores)
    np.testing.assert_allclose(answer["scores"][0], scores[best], atol=1e-5)
    names = [(b"a", b"", b"c")[i] for i in best]
    assert answer["label_names"].numpy().tolist() == [names]
