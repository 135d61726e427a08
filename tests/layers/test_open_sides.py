"""Checks of sides hold where a graph leaves them open."""

import keras
import numpy as np
import pytest

from keras_vtr.layers import LocalAttention2D
from keras_vtr.layers import PatchEmbedding
from keras_vtr.layers import PositionEmbedding
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses.matching import assign
from tests.tiny_models import batch

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="JAX knows all sides when it traces",
)


def in_graph(function, *shapes, jit_compile=False):
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, "float32") for shape in shapes]
    return tf.function(function, signature, jit_compile=jit_compile)


def zeros(*shape):
    return np.zeros(shape, "float32")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("layer", "fits", "wrong"),
    [
        (PatchEmbedding(4, 8), (40, 32), [(47, 39), (5, 5), (40, 39)]),
        (PatchEmbedding(4, 8, flatten=False), (8, 8), [(12, 8), (4, 16)]),
        (
            LocalAttention2D(4, 3, 2, padding="valid"),
            (3, 5),
            [(2, 5), (3, 1)],
        ),
    ],
    ids=["patches", "patches in rows", "windows"],
)
def test_other_sides_are_an_error_always(layer, fits, wrong, jit_compile):
    import tensorflow as tf

    layer(zeros(1, *fits, 3))
    shape = (None, None, None, 3)
    answer = in_graph(layer, shape, jit_compile=jit_compile)
    images = np.random.default_rng(0).normal(size=(2, *fits, 3))
    images = images.astype("float32")
    np.testing.assert_allclose(answer(images), layer(images), atol=1e-6)
    for sides in wrong:
        with pytest.raises(tf.errors.InvalidArgumentError, match="Input to re"):
            answer(zeros(2, *sides, 3))


def test_the_error_says_what_must_be():
    import tensorflow as tf

    layer = PatchEmbedding(4, 8)
    answer = in_graph(layer, (None, None, None, 3))
    name = "height_and_width_must_be_multiples_of_patch_size"
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        answer(zeros(1, 47, 39, 3))


def test_one_token_is_not_spread_over_all_positions():
    import tensorflow as tf

    layer = PositionEmbedding()
    layer(zeros(1, 7, 4))
    answer = in_graph(layer, (None, None, 4))
    assert answer(zeros(2, 7, 4)).shape == (2, 7, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="as_many_as_pos"):
        answer(zeros(2, 1, 4))


def test_the_loss_takes_any_number_of_queries_and_targets(rng):
    import tensorflow as tf

    loss, y_true = HungarianLoss(), batch(rng)[1]
    boxes = {
        n: rng.uniform(0.2, 0.4, size=(4, n, 4)).astype("float32")
        for n in (6, 9)
    }

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, 4), "float32")] * 2
    )
    def answer(logits, boxes):
        return loss(y_true, {"logits": logits, "boxes": boxes})

    for predicted in boxes.values():
        outputs = {"logits": predicted * 9, "boxes": predicted}
        np.testing.assert_allclose(
            answer(**outputs), loss(y_true, outputs), rtol=1e-5
        )


def test_the_matcher_takes_any_number_of_queries(rng):
    costs = [rng.normal(size=(2, 3, n)).astype("float32") for n in (5, 3, 7)]
    is_target = np.array([[True, True, False], [True] * 3])
    answer = in_graph(lambda x: assign(x, is_target), (None, None, None))
    for cost in costs:
        np.testing.assert_array_equal(answer(cost), assign(cost, is_target))
