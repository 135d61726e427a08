import keras
import numpy as np
import pytest

from keras_vtr.layers import MaskEmbeddingHead
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

SHAPES = {
    "queries": (2, 3, 5, 16),
    "memory": (2, 35, 16),
    "feature_map": (2, 7, 5, 16),
    "finer_maps": [(2, 23, 19, 3), (2, 13, 11, 6)],
}


@pytest.mark.any_backend
def test_a_mask_depends_on_its_own_query_and_on_no_later_layer():
    inputs = make_inputs(SHAPES)
    head = MaskEmbeddingHead()
    masks = to_numpy(head(**inputs))
    set_weights(head)
    masks = to_numpy(head(**inputs))
    changed = inputs["queries"].copy()
    changed[:, 1, 2] += 1.0
    found = to_numpy(head(**{**inputs, "queries": changed}))
    same = np.isclose(found, masks, atol=1e-5).all(axis=(3, 4))
    expected = np.ones_like(same)
    expected[:, 1, 2] = False
    np.testing.assert_array_equal(same, expected)


def test_a_logit_is_the_product_of_its_pixel_and_its_query():
    inputs = make_inputs({**SHAPES, "finer_maps": []})
    head = MaskEmbeddingHead(mlp_dim=7)
    head(**inputs)
    set_weights(head)
    masks = to_numpy(head(**inputs))
    query = inputs["queries"][:, 0]
    hidden = head.query_output(head.query_dense(head.query_norm(query)))
    embedding = to_numpy(head.query_projection(query + hidden))
    x = keras.ops.reshape(inputs["memory"], inputs["feature_map"].shape)
    convolution, norm, dense = head.blocks[0]
    pixels = to_numpy(head.pixel_projection(x + dense(norm(convolution(x)))))
    expected = np.einsum("bqd,bhwd->bqhw", embedding, pixels)
    expected += float(head.bias.numpy())
    np.testing.assert_allclose(masks[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.any_backend
def test_upsampling_enlarges_the_finest_map():
    inputs = make_inputs(SHAPES)
    masks = MaskEmbeddingHead(upsampling=2)(**inputs)
    assert tuple(masks.shape) == (2, 3, 5, 46, 38)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"upsampling": 0}, "upsampling=0"),
        ({"mlp_dim": 1.5}, "mlp_dim=1.5"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskEmbeddingHead(**arguments)
