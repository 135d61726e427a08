import numpy as np
import pytest

from keras_vtr.layers import MultiHeadAttentionBlock
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference

CONFIG = {
    "num_heads": 3,
    "dropout": 0.1,
    "attention_dropout": 0.2,
    "layer_norm_epsilon": 1e-3,
}
SELF = {"query": (2, 5, 12), "query_positions": (2, 5, 12)}
CROSS = {
    **SELF,
    "memory": (2, 7, 13),
    "memory_positions": (2, 7, 13),
    "padding_mask": (2, 7),
}


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize("shapes", [SELF, CROSS], ids=["self", "cross"])
def test_equals_the_numpy_restatement(shapes, normalize_first):
    inputs = make_inputs(shapes)
    layer = MultiHeadAttentionBlock(**CONFIG, normalize_first=normalize_first)
    layer(**inputs)
    set_weights(layer)
    mask = inputs.get("padding_mask")
    expected = numpy_reference.attention_block(
        numpy_reference.weights_of(layer),
        3,
        normalize_first,
        1e-3,
        inputs["query"],
        inputs.get("memory"),
        inputs["query_positions"],
        inputs.get("memory_positions", 0.0),
        None if mask is None else np.repeat(mask[:, None], 5, axis=1),
    )
    np.testing.assert_allclose(to_numpy(layer(**inputs)), expected, atol=1e-5)


def test_returns_attention_scores_that_sum_to_one():
    inputs = make_inputs(CROSS)
    layer = MultiHeadAttentionBlock(**CONFIG)
    output, scores = layer(**inputs, return_attention_scores=True)
    assert tuple(output.shape) == (2, 5, 12)
    assert tuple(scores.shape) == (2, 3, 5, 7)
    np.testing.assert_allclose(to_numpy(scores).sum(axis=-1), 1.0, atol=1e-6)


def test_dropout_acts_in_training_only():
    inputs = make_inputs(SELF)
    layer = MultiHeadAttentionBlock(3, dropout=0.5)
    calm = to_numpy(layer(**inputs, training=False))
    np.testing.assert_array_equal(calm, to_numpy(layer(**inputs)))
    assert not np.allclose(calm, to_numpy(layer(**inputs, training=True)))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_heads", 0),
        ("dropout", 1.0),
        ("attention_dropout", -0.1),
        ("layer_norm_epsilon", 0.0),
    ],
)
def test_arguments_must_be_in_range(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        MultiHeadAttentionBlock(**{**CONFIG, argument: value})
