import contextlib
import functools

import keras
import numpy as np
import pytest

from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.losses import HungarianLoss
from keras_vtr.models.block_arguments import block_arguments
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr

pytestmark = pytest.mark.compiled

BLOCKS = ["block_0", "block_1"]
DROPPED = {"dropout": 0.3, "attention_dropout": 0.3, "stochastic_depth": 0.3}


def scope(names):
    if not names:
        return contextlib.nullcontext()
    return keras.RematScope("list_of_layers", layer_names=names)


def trained(build, loss, data, names, monkeypatch, **options):
    """Losses and weights after a few steps; how often `keras.remat` was used.

    Built within the scope and trained outside of it.
    """
    used = []
    remat = keras.remat
    monkeypatch.setattr(keras, "remat", lambda f: used.append(f) or remat(f))
    keras.utils.set_random_seed(3)
    with scope(names):
        model = build()
    model.compile(keras.optimizers.SGD(0.05), loss, **options)
    history = model.fit(
        *data, batch_size=2, epochs=2, shuffle=False, verbose=0
    ).history
    monkeypatch.undo()
    state = [keras.ops.convert_to_numpy(x) for x in model.variables]
    return history["loss"], state, len(used)


def assert_same(plain, saving):
    assert plain[2] == 0 and saving[2] >= 2
    np.testing.assert_allclose(plain[0], saving[0], rtol=1e-5)
    for a, b in zip(plain[1], saving[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def encoder_and_decoder(num_layers=1):
    tokens, queries = keras.Input((7, 8)), keras.Input((5, 8))
    positions = keras.Input((7, 8))
    mask = keras.Input((7,), dtype="bool")
    parts = block_arguments(2, 16, **DROPPED)
    memory = TransformerEncoder(TransformerEncoderBlock(**parts), num_layers)(
        tokens, positions=positions, padding_mask=mask
    )
    decoder = TransformerDecoder(
        TransformerDecoderBlock(**parts), num_layers, return_every_layer=True
    )
    answers = decoder(
        queries, memory, memory_positions=positions, padding_mask=mask
    )
    return keras.Model([tokens, queries, positions, mask], answers)


def tokens_and_answers(rng, num_layers=1):
    shapes = [(4, 7, 8), (4, 5, 8), (4, 7, 8)]
    inputs = [rng.normal(size=x).astype("float32") for x in shapes]
    mask = np.arange(7) < np.array([[7], [3], [5], [7]])
    answers = rng.normal(size=(4, num_layers, 5, 8)).astype("float32")
    return [*inputs, mask], answers


def test_the_same_is_learned_and_dropped(rng, monkeypatch):
    data = tokens_and_answers(rng)
    options = {"monkeypatch": monkeypatch, "jit_compile": False}
    plain = trained(encoder_and_decoder, "mse", data, [], **options)
    saving = trained(encoder_and_decoder, "mse", data, BLOCKS, **options)
    assert_same(plain, saving)


@pytest.mark.slow
def test_a_compiled_step_learns_and_drops_the_same(rng, monkeypatch):
    data = tokens_and_answers(rng, num_layers=2)
    build = functools.partial(encoder_and_decoder, num_layers=2)
    options = {"monkeypatch": monkeypatch, "jit_compile": True}
    plain = trained(build, "mse", data, [], **options)
    # Only the blocks that are named are computed twice.
    saving = trained(build, "mse", data, BLOCKS[1:], **options)
    assert_same(plain, saving)
    assert saving[2] == 2


@pytest.mark.slow
def test_a_frozen_block_gives_its_gradient_to_those_before_it(rng, monkeypatch):
    def build():
        model = encoder_and_decoder()
        for layer in model.layers:
            if isinstance(layer, TransformerDecoder):
                layer.trainable = False
        return model

    data = tokens_and_answers(rng)
    plain = trained(build, "mse", data, [], monkeypatch)
    assert_same(plain, trained(build, "mse", data, BLOCKS, monkeypatch))


@pytest.mark.slow
def test_a_detector_learns_the_same(rng, monkeypatch):
    def build():
        return tiny_detr(dropout=0.2, queries="anchors")

    data = batch(rng)
    plain = trained(build, HungarianLoss(), data, [], monkeypatch)
    saving = trained(build, HungarianLoss(), data, BLOCKS, monkeypatch)
    assert_same(plain, saving)
    assert saving[2] >= 3


@pytest.mark.slow
def test_mixed_precision_works(rng, monkeypatch):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        data = tokens_and_answers(rng)
        options = {"monkeypatch": monkeypatch}
        plain = trained(encoder_and_decoder, "mse", data, [], **options)
        saving = trained(encoder_and_decoder, "mse", data, BLOCKS, **options)
    finally:
        keras.config.set_dtype_policy("float32")
    assert saving[2] >= 2
    np.testing.assert_allclose(plain[0], saving[0], rtol=0.02)


def test_answers_cost_no_second_computation(rng, monkeypatch):
    with scope(["block_0"]):
        block = TransformerEncoderBlock(**block_arguments(2, 16, **DROPPED))
        encoder = TransformerEncoder(block, num_layers=1)
        tokens = rng.normal(size=(2, 3, 8)).astype("float32")
        monkeypatch.setattr(keras, "remat", None)
        assert encoder(tokens).shape == (2, 3, 8)
        assert encoder(keras.Input((3, 8))).shape == (None, 3, 8)
