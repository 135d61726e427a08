import numpy as np
import pytest

from keras_vtr.layers import MaskHead
from keras_vtr.layers import MultiHeadAttentionMap
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

SHAPES = {
    "queries": (2, 2, 3, 16),
    "memory": (2, 35, 16),
    "feature_map": (2, 7, 5, 16),
    "finer_maps": [(2, 23, 19, 3), (2, 13, 11, 6)],
}


def test_maps_sum_to_one_over_all_real_pixels_of_all_heads(rng):
    inputs = make_inputs(
        {
            "queries": (2, 3, 8),
            "memory": (2, 7, 5, 8),
            "padding_mask": (2, 7, 5),
        }
    )
    layer = MultiHeadAttentionMap(2)
    layer(**inputs)
    set_weights(layer)
    maps = to_numpy(layer(**inputs))
    np.testing.assert_allclose(maps.sum(axis=(2, 3, 4)), 1.0, rtol=1e-5)
    mask = inputs["padding_mask"]
    for image in range(2):
        assert (maps[image][:, ~mask[image]] == 0).all()
        assert (maps[image][:, mask[image]] > 0).all()


def test_a_map_is_the_softmax_of_scaled_products(rng):
    queries = rng.normal(size=(1, 3, 8)).astype("float32")
    memory = rng.normal(size=(1, 2, 5, 8)).astype("float32")
    layer = MultiHeadAttentionMap(2)
    layer(queries, memory)
    set_weights(layer)
    query = to_numpy(layer.query_projection(queries)).reshape(3, 2, 4)
    key = to_numpy(layer.key_projection(memory)).reshape(2, 5, 2, 4)
    logits = np.einsum("qnd,hwnd->qhwn", query, key) / 2
    expected = np.exp(logits) / np.exp(logits).sum((1, 2, 3), keepdims=True)
    found = to_numpy(layer(queries, memory))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.any_backend
def test_the_mask_of_a_query_depends_on_no_other_query():
    inputs = make_inputs(SHAPES)
    head = MaskHead(8)
    together = to_numpy(head(**inputs))
    for i in range(3):
        alone = {**inputs, "queries": inputs["queries"][:, :, i : i + 1]}
        found = to_numpy(head(**alone))
        np.testing.assert_allclose(found[:, :, 0], together[:, :, i], atol=1e-4)


def test_wrong_widths_are_refused():
    with pytest.raises(ValueError, match="Received: num_heads=0"):
        MaskHead(0)
    with pytest.raises(ValueError, match="`num_heads` must divide"):
        MultiHeadAttentionMap(3)(np.ones((2, 3, 8)), np.ones((2, 7, 5, 8)))
    inputs = make_inputs({**SHAPES, "queries": (2, 2, 3, 24)})
    with pytest.raises(ValueError, match="must be a multiple of 16"):
        MaskHead(8)(**inputs)
    inputs = make_inputs({**SHAPES, "finer_maps": [(2, 9, 9, 3)] * 4})
    with pytest.raises(ValueError, match=r"three at most.*Received: 4"):
        MaskHead(8)(**inputs)
