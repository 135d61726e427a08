import keras
import numpy as np
import pytest

from keras_vtr.layers import AddedPositions
from keras_vtr.losses import SequenceCrossentropy
from keras_vtr.models import build_transformer
from keras_vtr.optimizers import NoamSchedule
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.models.transformer import numpy_transformer

VOCABULARY = 11


def tiny(**change):
    options = {
        "hidden_dim": 8,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 16,
        "dropout": 0.0,
        **change,
    }
    return build_transformer(VOCABULARY, **options)


def sequences(rng, source=5, target=7, batch=3):
    return {
        "source": rng.integers(1, VOCABULARY, size=(batch, source)),
        "target": rng.integers(1, VOCABULARY, size=(batch, target)),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "expected"), [("base", 63_082_496), ("big", 214_245_376)]
)
def test_the_papers_sizes_have_the_papers_parameters(size, expected):
    with keras.device("cpu"):
        assert build_transformer(37_000, size=size).count_params() == expected


@pytest.mark.parametrize("normalize_first", [False, True])
def test_equals_the_numpy_restatement(normalize_first, rng):
    model = tiny(normalize_first=normalize_first)
    set_weights(model)
    inputs = sequences(rng)
    inputs["source"][1, 2:] = 0
    inputs["target"][2, 4:] = 0
    expected = numpy_transformer.transformer(model, inputs, 2, normalize_first)
    np.testing.assert_allclose(
        to_numpy(model(inputs)), expected, atol=2e-5, rtol=1e-5
    )


def test_an_encoder_of_ones_own_takes_the_texts_place(rng):
    images = keras.Input((6, 6, 1), name="images")
    x = keras.layers.Conv2D(12, 3, 3, name="patches")(images)
    encoder = keras.Model(images, keras.layers.Reshape((4, 12))(x))
    model = tiny(encoder=encoder)
    inputs = {
        "source": rng.normal(size=(3, 6, 6, 1)).astype("float32"),
        "target": rng.integers(1, VOCABULARY, size=(3, 5)),
    }
    before = to_numpy(model(inputs))
    assert before.shape == (3, 5, VOCABULARY)
    other = {**inputs, "source": inputs["source"][::-1]}
    assert (to_numpy(model(other))[0] != before[0]).any()


def test_images_of_whole_numbers_are_not_taken_for_tokens(rng):
    images = keras.Input((6, 6, 1), dtype="uint8")
    x = keras.layers.Conv2D(12, 3, 3)(keras.layers.Rescaling(1 / 255)(images))
    encoder = keras.Model(images, keras.layers.Reshape((4, 12))(x))
    model = tiny(encoder=encoder)
    inputs = {
        "source": rng.integers(0, 256, size=(2, 6, 6, 1)).astype("uint8"),
        "target": rng.integers(1, VOCABULARY, size=(2, 5)),
    }
    assert model.predict(inputs, verbose=0).shape == (2, 5, VOCABULARY)
    inputs["target"][0, 1] = 99
    with pytest.raises(ValueError, match=r"Received: 99 at target\[0, 1\]"):
        model.predict(inputs, verbose=0)


@pytest.mark.parametrize("normalize_first", [False, True])
def test_a_token_never_sees_a_later_one(normalize_first, rng):
    model = tiny(normalize_first=normalize_first)
    set_weights(model)
    inputs = sequences(rng)
    before = to_numpy(model(inputs))
    for first in range(1, 7):
        later = inputs["target"].copy()
        later[:, first:] = rng.integers(1, VOCABULARY, size=(3, 7 - first))
        after = to_numpy(model({**inputs, "target": later}))
        np.testing.assert_array_equal(after[:, :first], before[:, :first])
    earlier = inputs["target"].copy()
    earlier[:, 0] = earlier[:, 0] % (VOCABULARY - 1) + 1
    changed = to_numpy(model({**inputs, "target": earlier}))
    assert (changed != before).any(axis=(0, 2)).all()


def test_padding_changes_nothing(rng):
    model = tiny()
    set_weights(model)
    inputs = sequences(rng)
    padded = {
        "source": np.pad(inputs["source"], ((0, 0), (0, 4))),
        "target": np.pad(inputs["target"], ((0, 0), (0, 2))),
    }
    np.testing.assert_allclose(
        to_numpy(model(padded))[:, :7], to_numpy(model(inputs)), atol=1e-5
    )


def test_the_order_of_the_source_matters(rng):
    model = tiny()
    set_weights(model)
    inputs = sequences(rng)
    inputs["source"][:] = [1, 2, 3, 4, 5]
    mirrored = {**inputs, "source": inputs["source"][:, ::-1]}
    difference = to_numpy(model(inputs)) - to_numpy(model(mirrored))
    assert abs(difference).max() > 1e-5  # rounding is below 1e-6


def test_one_matrix_embeds_and_answers(rng):
    model = tiny()
    inputs = sequences(rng)
    embedding = model.get_layer("embedding")
    assert [tuple(x.shape) for x in embedding.weights] == [(VOCABULARY, 8)]
    answers = keras.Model(model.input, model.get_layer("decoder").output)
    expected = to_numpy(answers(inputs)) @ to_numpy(embedding.embeddings).T
    np.testing.assert_allclose(to_numpy(model(inputs)), expected, atol=1e-4)


def test_logits_are_float32_in_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        logits = tiny()(sequences(rng))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


@pytest.mark.slow
@pytest.mark.compiled
def test_it_learns_to_repeat_and_is_saved(tmp_path, rng):
    model = tiny(hidden_dim=32, mlp_dim=64, num_layers=1, normalize_first=True)
    words = rng.integers(2, VOCABULARY, size=(512, 5))
    start = np.ones((512, 1), int)
    inputs = {
        "source": words,
        "target": np.concatenate([start, words[:, :-1]], axis=1),
    }
    model.compile(
        keras.optimizers.Adam(NoamSchedule(32, 100), 0.9, 0.98, 1e-9),
        SequenceCrossentropy(0.0),
    )
    model.fit(inputs, words, batch_size=32, epochs=30, verbose=0)
    right = to_numpy(model(inputs)).argmax(axis=-1) == words
    assert right.mean() > 0.95
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        to_numpy(again(inputs)), to_numpy(model(inputs)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "huge"}, "must be one of"),
        ({"vocabulary_size": 1}, "must be 2 or more"),
        ({"hidden_dim": 9}, "must be even"),
        ({"position_rule": AddedPositions()}, "`position_rule` has no effect"),
        ({"num_heads": 3, "hidden_dim": 8}, "must divide"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_transformer(**{"vocabulary_size": 5, **arguments})


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source": 11},
            r"`source` must hold tokens from 0 to 10.*Received: 11",
        ),
        (
            {"target": -1},
            r"`target` must hold .*Received: -1 at target\[1, 2\]",
        ),
        ({"y": 12}, r"`y` must hold tokens .* and 0 more"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_tokens_out_of_range_are_named_before_work_starts(
    change, message, method, rng
):
    model = tiny()
    model.compile("sgd", SequenceCrossentropy())
    inputs = sequences(rng)
    arrays = {**inputs, "y": inputs["target"].copy()}
    for name, token in change.items():
        arrays[name][1, 2] = token
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(inputs, arrays["y"], verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.compiled
def test_tokens_for_validation_are_checked_before_the_first_epoch(rng):
    model = tiny()
    model.compile("sgd", SequenceCrossentropy())
    inputs, wrong = sequences(rng), sequences(rng)
    wrong["source"][2, 0] = 11
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"Received: 11 at source\[2, 0\]"):
        model.fit(
            inputs,
            inputs["target"],
            validation_data=(wrong, wrong["target"]),
            verbose=0,
        )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_an_encoder_must_make_one_memory_of_one_input():
    images, more = keras.Input((6, 6, 1)), keras.Input((6, 6, 1))
    memory = keras.layers.Reshape((6, 6))(images)
    with pytest.raises(ValueError, match=r"shapes \[\(None, 6, 6, 1\)\]"):
        tiny(encoder=keras.Model(images, keras.layers.ReLU()(images)))
    with pytest.raises(ValueError, match=r"Received: 2 inputs"):
        added = memory + keras.layers.Reshape((6, 6))(more)
        tiny(encoder=keras.Model([images, more], added))
    with pytest.raises(ValueError, match=r"Received: encoder='vit'"):
        tiny(encoder="vit")


def test_tokens_must_be_whole_numbers_in_rows():
    model = tiny()
    with pytest.raises(ValueError, match=r"integers .*dtype=float64"):
        model.check_tokens("source", [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"shape \(B, N\).*shape=\(3,\)"):
        model.check_tokens("source", [1, 2, 3])
