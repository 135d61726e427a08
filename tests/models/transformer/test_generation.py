import functools
import itertools

import keras
import numpy as np
import pytest

from keras_vtr.models import build_generator
from keras_vtr.models import build_transformer
from tests.layer_checks import to_numpy

VOCABULARY, START, END = 7, 1, 5


@functools.cache  # no test changes it
def transformer(normalize_first=True, seed=0, **change):
    model = build_transformer(
        VOCABULARY,
        hidden_dim=8,
        num_layers=2,
        num_heads=2,
        mlp_dim=16,
        normalize_first=normalize_first,
        **change,
    )
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        # Norms as they are, and small embeddings: with others every answer
        # repeats one token.
        if not weight.path.endswith(("gamma", "beta")):
            deviation = 0.2 if "embedding" in weight.path else 0.8
            weight.assign(rng.normal(0.0, deviation, size=weight.shape))
    return model


def generator(model, length=6, **options):
    return build_generator(
        model,
        start_token=START,
        end_token=END,
        max_length=length,
        **options,
    )


def sources(rng, batch=8):
    source = rng.integers(1, VOCABULARY, size=(batch, 5))
    for row, length in enumerate(rng.integers(1, 6, size=batch)):
        source[row, length:] = 0
    return source


def logs(model, source, targets):
    """Log-probabilities after each of some targets of one source."""
    inputs = {
        "source": np.repeat(source[None], len(targets), axis=0),
        "target": np.array(targets),
    }
    logits = to_numpy(model(inputs))[:, -1].astype("float64")
    logits[:, 0] = -np.inf  # padding is no word
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def greedy(model, source, length):
    """Without a memory of keys and values."""
    tokens, score = [START], 0.0
    while len(tokens) <= length and tokens[-1] != END:
        row = logs(model, source, [tokens])[0]
        tokens.append(int(row.argmax()))
        score += row.max()
    return tokens[1:], score


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def beam(model, source, length, num_beams, alpha):
    """Lists of Python, no cache, and no early stop."""
    alive, ended = [([START], 0.0)], []
    for place in range(1, length + 1):
        rows = logs(model, source, [tokens for tokens, _ in alive])
        candidates = [
            ([*tokens, token], score + row[token])
            for (tokens, score), row in zip(alive, rows, strict=True)
            for token in range(VOCABULARY)
        ]
        candidates.sort(key=lambda candidate: -candidate[1])
        candidates = candidates[: 2 * num_beams]
        ended += [
            (tokens[1:], score / penalty(place, alpha))
            for tokens, score in candidates
            if tokens[-1] == END
        ]
        alive = [x for x in candidates if x[0][-1] != END][:num_beams]
    if not ended:
        tokens, score = alive[0]
        return tokens[1:], score / penalty(length, alpha)
    return max(ended, key=lambda answer: answer[1])


def check(found, expected):
    rows = zip(found["tokens"], found["scores"], expected, strict=True)
    for tokens, score, (right, right_score) in rows:
        assert tokens.tolist() == right + [0] * (len(tokens) - len(right))
        np.testing.assert_allclose(score, right_score, atol=1e-4)


@pytest.mark.parametrize(("normalize_first", "seed"), [(False, 12), (True, 0)])
def test_greedy_search_equals_the_uncached_answer(normalize_first, seed):
    model = transformer(normalize_first, seed)
    source = sources(np.random.default_rng(2), batch=4)
    found = generator(model).predict({"source": source}, verbose=0)
    expected = [greedy(model, row, 6) for row in source]
    check(found, expected)
    ends = {len(tokens) for tokens, _ in expected}
    assert len(ends) > 1, "the answers should end at several places"


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_beam_search_equals_the_uncached_answer(alpha, rng):
    model, source = transformer(), sources(rng, batch=4)
    writer = generator(model, num_beams=3, length_penalty=alpha)
    found = writer.predict({"source": source}, verbose=0)
    check(found, [beam(model, row, 6, 3, alpha) for row in source])


def best_of_all(model, source, length, alpha):
    """Every answer that there is, judged."""
    words = [token for token in range(1, VOCABULARY) if token != END]
    alive, ended = [([START], 0.0)], []
    for place in range(1, length + 1):
        rows = logs(model, source, [tokens for tokens, _ in alive])
        pairs = list(zip(alive, rows, strict=True))
        ended += [
            ([*tokens[1:], END], (score + row[END]) / penalty(place, alpha))
            for (tokens, score), row in pairs
        ]
        alive = [
            ([*tokens, word], score + row[word])
            for ((tokens, score), row), word in itertools.product(pairs, words)
        ]
    return max(ended, key=lambda answer: answer[1])


@pytest.mark.any_backend
def test_enough_beams_find_the_best_of_all_answers(rng):
    model, source = transformer(), sources(rng, batch=3)
    writer = generator(model, 3, num_beams=VOCABULARY**2)
    found = writer.predict({"source": source}, verbose=0)
    check(found, [best_of_all(model, row, 3, 0.6) for row in source])


@pytest.mark.any_backend
def test_a_longer_penalty_wants_longer_answers(rng):
    model, source = transformer(), sources(rng, batch=16)
    lengths = []
    for alpha in (0.0, 4.0):
        writer = generator(model, 8, num_beams=4, length_penalty=alpha)
        found = writer.predict({"source": source}, verbose=0)
        lengths.append((found["tokens"] != 0).sum())
    assert lengths[0] < lengths[1]


@pytest.mark.any_backend
@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_source_is_answered_alike_alone_and_in_a_batch(num_beams, rng):
    writer = generator(transformer(), num_beams=num_beams)
    source = sources(rng)
    together = writer.predict({"source": source}, verbose=0)
    for i, row in enumerate(source[:3]):
        alone = writer.predict({"source": row[row > 0][None]}, verbose=0)
        np.testing.assert_array_equal(alone["tokens"][0], together["tokens"][i])
        np.testing.assert_allclose(
            alone["scores"][0], together["scores"][i], atol=1e-4
        )


def test_it_stops_when_all_answers_have_ended(monkeypatch):
    """What would come behind the end is not computed."""
    from keras_vtr.models.transformer.greedy_search import GreedySearch

    writer = generator(transformer(), length=50)
    places = []
    step = GreedySearch.step

    def count(self, tokens, place, cache, padding_mask):
        places.append(place)
        return step(self, tokens, place, cache, padding_mask)

    monkeypatch.setattr(GreedySearch, "step", count)
    source = sources(np.random.default_rng(0))[4:6]
    found = writer({"source": source})  # eager: a step is a call
    length = int((to_numpy(found["tokens"]) != 0).any(axis=0).sum())
    assert length < 50
    if keras.backend.backend() == "tensorflow":
        assert len(places) == length


@pytest.mark.parametrize("num_beams", [1, 3])
def test_nothing_is_dropped_while_it_writes(num_beams, rng):
    writer = generator(transformer(dropout=0.5), num_beams=num_beams)
    source = {"source": sources(rng, batch=3)}
    expected = writer.predict(source, verbose=0)
    names = ("memory", "real_tokens")
    before = keras.Model(
        writer.input, [writer.get_layer(name).output for name in names]
    )
    given = [keras.Input((None, 8)), keras.Input((None,), dtype="bool")]
    search = writer.get_layer("search")
    after = keras.Model(given, search(given[0], padding_mask=given[1]))
    found = after(before(source), training=True)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(found["tokens"]), expected["tokens"]
    )


@pytest.mark.any_backend
def test_it_writes_from_images(rng):
    images = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(12, 3, 3)(images)
    encoder = keras.Model(images, keras.layers.Reshape((4, 12))(x))
    model = transformer(encoder=encoder)
    source = rng.normal(size=(4, 6, 6, 1)).astype("float32")
    found = generator(model, num_beams=3).predict({"source": source}, verbose=0)
    check(found, [beam(model, row, 6, 3, 0.6) for row in source])


@pytest.mark.any_backend
@pytest.mark.parametrize("num_beams", [1, 3])
def test_it_is_saved_and_its_weights_are_the_transformers(
    num_beams, rng, tmp_path
):
    model = transformer()
    writer = generator(model, num_beams=num_beams)
    assert writer.count_params() == model.count_params()
    source = {"source": sources(rng)}
    expected = writer.predict(source, verbose=0)
    writer.save(tmp_path / "generator.keras")
    again = keras.models.load_model(tmp_path / "generator.keras")
    for key, value in again.predict(source, verbose=0).items():
        np.testing.assert_allclose(value, expected[key], atol=1e-5)


def test_mixed_precision_writes_too(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = transformer.__wrapped__()  # of this policy
        writer = generator(model, num_beams=2)
        found = writer.predict({"source": sources(rng)}, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert found["tokens"].shape == (8, 6)
    assert np.isfinite(found["scores"]).all()


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a SavedModel"
)
@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.slow
def test_it_is_exported_and_loaded_without_keras(num_beams, rng, tmp_path):
    import tensorflow as tf

    writer = generator(transformer(), num_beams=num_beams)
    source = sources(rng).astype("int32")
    expected = writer.predict({"source": source}, verbose=0)
    writer.export(tmp_path / "generator", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "generator")
    found = loaded.serve({"source": source})
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_token": 0}, "`start_token` must be a token from 1 to 6"),
        ({"end_token": 7}, "`end_token` must be a token from 1 to 6"),
        ({"max_length": 0}, "`max_length` must be an integer, 1 or more"),
        ({"num_beams": 1.5}, "`num_beams` must be an integer"),
        ({"length_penalty": -1.0}, "`length_penalty` must be 0 or more"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    options = {"start_token": 1, "end_token": 2, "max_length": 3, **change}
    with pytest.raises(ValueError, match=message):
        build_generator(transformer(), **options)


def test_another_model_is_refused():
    images = keras.Input((4,))
    other = keras.Model(images, keras.layers.Dense(3)(images), name="other")
    with pytest.raises(ValueError, match=r"'other' without layers .*decoder"):
        generator(other)


def test_tokens_out_of_range_are_refused():
    writer = generator(transformer())
    with pytest.raises(ValueError, match=r"0 to 6.*Received: 9 at source"):
        writer.predict({"source": np.array([[3, 9]])}, verbose=0)
