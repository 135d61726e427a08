import keras
import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.detections import decode_detections
from keras_vtr.detections import detect
from keras_vtr.losses import HungarianLoss
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.models import build_yolos
from keras_vtr.serving import export_detector
from keras_vtr.training import compile_detr
from tests.layer_checks import to_numpy
from tests.tiny_models import randomize
from tests.tiny_models import tiny_vit

GRAY = {"image_shape": (64, 64, 1), "patch_size": 16}


def tiny_yolos(**change):
    vit = tiny_vit(**GRAY, hidden_dim=24, num_layers=2)
    return build_yolos(10, vit, **{"num_queries": 6, **change})


# transformers' YolosForObjectDetection with 91 labels, whose queries have
# positions that are added to them: 100 x D parameters more than ours.
@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("size", "theirs", "hidden_dim"),
    [
        ("tiny", 6_488_736, 192),
        ("small", 30_684_768, 384),
        ("base", 127_798_368, 768),
    ],
)
def test_the_authors_parameters(size, theirs, hidden_dim):
    yolos = build_yolos(91, size)
    assert yolos.count_params() == theirs - 100 * hidden_dim
    assert yolos.input_shape == (None, None, None, 3)


def test_it_answers_with_classes_and_boxes():
    yolos = tiny_yolos(class_names=[f"digit {i}" for i in range(10)])
    shapes = {key: tuple(x.shape) for key, x in yolos.output.items()}
    assert shapes == {"logits": (None, 6, 11), "boxes": (None, 6, 4)}
    assert yolos.num_classes == 10 and yolos.class_names[3] == "digit 3"


def test_the_vit_s_weights_are_copied():
    vit = tiny_vit(**GRAY)
    yolos = build_yolos(10, vit, num_queries=6)
    copies = {x.path.removeprefix("vit_"): x for x in yolos.weights}
    copied = [x for x in vit.weights if not x.path.startswith("head")]
    assert all(np.array_equal(copies[x.path], x) for x in copied)
    assert "encoder/queries" in copies


def test_a_class_token_registers_and_queries_keep_their_places(rng):
    """Against the answers of a ViT whose registers are the queries."""
    vit = tiny_vit(**GRAY, hidden_dim=24, num_layers=2, num_register_tokens=6)
    yolos = tiny_yolos()
    copies = {x.path.removeprefix("vit_"): x for x in yolos.weights}
    copies["register_tokens/class_token"] = copies["encoder/queries"]
    for weight in vit.weights:
        if not weight.path.startswith("head"):
            weight.assign(copies[weight.path])
    images = rng.uniform(0, 255, (2, 64, 64, 1)).astype("float32")
    tokens = keras.Model(vit.input, vit.get_layer("encoder").output)(images)
    pixels = yolos.get_layer("normalize_pixels")(images)
    answers = yolos.get_layer("vit")(pixels)
    np.testing.assert_allclose(
        to_numpy(answers), to_numpy(tokens)[:, 1:7], atol=1e-5
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, marks=pytest.mark.any_backend),
        {"positions_between_blocks": True},
    ],
)
def test_it_is_trained_saved_and_evaluated(change, tmp_path):
    yolos = tiny_yolos(**change)
    yolos.compile(keras.optimizers.AdamW(1e-3), HungarianLoss())
    scenes = digit_scenes("train", batch_size=8, num_scenes=32)
    history = yolos.fit(scenes, epochs=3, verbose=0, shuffle=False).history
    assert history["loss"][-1] < history["loss"][0]
    yolos.save(tmp_path / "yolos.keras")
    again = keras.models.load_model(tmp_path / "yolos.keras")
    images, _ = next(iter(scenes))
    for key, value in yolos(images).items():
        np.testing.assert_allclose(
            to_numpy(again(images)[key]), to_numpy(value), atol=1e-5
        )
    precision = CocoAveragePrecision((64, 64))
    assert 0 <= precision.evaluate(yolos, scenes.take(1))["AP"] <= 1


def test_detr_s_recipe_trains_its_vit_with_a_rate_of_its_own():
    yolos, _ = compile_detr(
        tiny_yolos(), 4, backbone_learning_rate=1e-4, backbone_layer_decay=0.8
    )
    scenes = digit_scenes("train", batch_size=8, num_scenes=32)
    before = {x.path: to_numpy(x) for x in yolos.trainable_weights}
    yolos.fit(scenes, epochs=1, verbose=0, shuffle=False)
    for weight in yolos.trainable_weights:
        is_same = np.array_equal(before[weight.path], to_numpy(weight))
        # A key's bias moves all logits of a softmax alike.
        assert not is_same or "key_projection/bias" in weight.path


@pytest.mark.parametrize("padding", [None, "exact"])
def test_it_finds_objects_in_pictures_of_any_size(padding, rng):
    yolos = tiny_yolos(padding=padding, image_shape=(None, None, 1))
    pictures = [
        rng.integers(0, 255, (40, width, 1), "uint8") for width in (90, 61)
    ]
    size = {"short_side": 48} if padding else {"image_size": (48, 80)}
    found = detect(yolos, pictures, score_threshold=0.0, **size)
    assert [x["boxes"].shape for x in found] == [(6, 4)] * 2


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="makes a SavedModel"
)
def test_it_is_exported_and_answers_as_before(rng, tmp_path):
    import tensorflow as tf

    yolos = randomize(tiny_yolos())
    version = export_detector(yolos, tmp_path / "yolos")
    images = rng.integers(0, 255, (3, 64, 64, 1), "uint8")
    expected = decode_detections(yolos(images), (64, 64))
    loaded = tf.saved_model.load(version)
    answer = loaded.signatures["images"](images=tf.constant(images))
    for key, value in expected.items():
        np.testing.assert_allclose(
            to_numpy(answer[key]), to_numpy(value), atol=1e-4
        )


def test_padding_s_features_are_not_seen(rng):
    yolos = tiny_yolos(image_shape=(None, None, 1), padding="exact")
    image = rng.uniform(0, 255, (1, 50, 70, 1)).astype("float32")
    padded = rng.uniform(0, 255, (1, 90, 110, 1)).astype("float32")
    padded[:, :50, :70] = image
    mask = np.zeros((1, 90, 110), bool)
    mask[:, :50, :70] = True
    alone = yolos({"images": image, "padding_mask": np.ones((1, 50, 70), bool)})
    among = yolos({"images": padded, "padding_mask": mask})
    for key, value in alone.items():
        np.testing.assert_allclose(
            to_numpy(among[key]), to_numpy(value), atol=1e-5
        )


@pytest.mark.parametrize("position", ["relative", "rotary"])
def test_positions_that_are_not_added_are_refused(position):
    vit = tiny_vit(**GRAY, position=position, hidden_dim=24)
    with pytest.raises(ValueError, match="positions that are added"):
        build_yolos(3, vit)


@pytest.mark.parametrize("position", ["none", "sine", "learned_2d"])
def test_other_positions_are_taken_but_not_between_blocks(position):
    vit = tiny_vit(**GRAY, position=position, hidden_dim=24)
    assert build_yolos(3, vit).num_classes == 3
    with pytest.raises(ValueError, match="position='learned_1d'"):
        build_yolos(3, vit, positions_between_blocks=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vit": "huge"}, "`vit` must be one of"),
        ({"vit": 3}, "`vit` must be one of .* or a functional model"),
        ({"padding": "published"}, "`padding` must be one of"),
        ({"num_classes": 0}, "`num_classes` must be"),
        ({"num_queries": 0}, "`num_queries` must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_yolos(**{"num_classes": 3, **arguments})
