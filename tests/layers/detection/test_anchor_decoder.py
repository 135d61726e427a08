import keras
import numpy as np
import pytest

from keras_vtr.layers import AnchorAttentionBias
from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import AnchorQueries
from keras_vtr.layers import AxisCenters
from keras_vtr.layers import BoxEncoding
from keras_vtr.layers import DeformableAttention
from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import PixelCenters
from keras_vtr.layers import TransformerDecoderBlock
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers.tiny_blocks import anchor_decoder

COLUMNS_AND_ROWS = (0.3, 0.5, 0.7), (0.4, 0.5, 0.6)


def boxes(rng, *shape):
    return rng.uniform(0.2, 0.6, size=(*shape, 4)).astype("float32")


def test_anchors_are_boxes_that_cover_the_image(rng):
    anchors = to_numpy(AnchorQueries(500)(np.zeros((3, 7, 8))))
    np.testing.assert_array_equal(anchors[0], anchors[2])
    assert (anchors > 0).all() and (anchors < 1).all()
    assert anchors[0, :, :2].std() > 0.1
    np.testing.assert_allclose(anchors[0].mean(axis=0), 0.5, atol=0.03)


def test_centers_are_counted_over_the_real_image(rng):
    mask = np.zeros((1, 4, 6), bool)
    mask[:, :2, :5] = True
    found = to_numpy(PixelCenters()(np.zeros((1, 4, 6, 1)), mask))
    found = found.reshape(4, 6, 2)
    x, y = np.meshgrid((np.arange(5) + 0.5) / 5, (np.arange(2) + 0.5) / 2)
    np.testing.assert_allclose(found[:2, :5, 0], x, rtol=1e-6)
    np.testing.assert_allclose(found[:2, :5, 1], y, rtol=1e-6)
    alone = to_numpy(PixelCenters()(np.zeros((1, 2, 5, 1))))
    np.testing.assert_allclose(found[:2, :5].reshape(1, 10, 2), alone)
    columns, rows = AxisCenters()(np.zeros((1, 4, 6, 1)), mask)
    np.testing.assert_array_equal(
        to_numpy(columns)[:, :5], found[None, 0, :5, 0]
    )
    np.testing.assert_array_equal(to_numpy(rows)[:, :2], found[None, :2, 0, 1])


def test_each_head_attends_to_its_own_side_of_the_box():
    layer = AnchorAttentionBias(4)
    box = np.array([[[0.5, 0.5, 0.35, 0.15]]], "float32")
    # Sides count 0.05 more.
    columns, rows = (np.array([x], "float32") for x in COLUMNS_AND_ROWS)
    bias = to_numpy(layer(box, (columns, rows))).reshape(4, 3, 3)
    # Right of, below, left of and above the center.
    places = [(1, 2), (2, 1), (1, 0), (0, 1)]
    for head, place in enumerate(places):
        np.testing.assert_allclose(bias[head][place], 0.0, atol=1e-6)
        others = [bias[head][x] for x in places if x != place]
        assert max(others) < -0.5


SHAPES = {
    "queries": (2, 5, 8),
    "anchors": (2, 5, 4),
    "memory": (2, 6, 8),
    "centers": ((2, 3), (2, 2)),
}


def inputs(rng):
    return {
        "queries": rng.normal(size=(2, 5, 8)).astype("float32"),
        "anchors": boxes(rng, 2, 5),
        "memory": rng.normal(size=(2, 6, 8)).astype("float32"),
        "centers": tuple(
            rng.uniform(size=(2, n)).astype("float32") for n in (3, 2)
        ),
    }


def decoder(**change):
    layer = anchor_decoder(**change)
    layer.build(*SHAPES.values())
    set_weights(layer)
    return layer


def test_queries_permute_with_their_anchors(rng):
    layer, data = decoder(), inputs(rng)
    order = np.array([3, 0, 4, 1, 2])
    expected = layer(**data)
    data["queries"] = data["queries"][:, order]
    data["anchors"] = data["anchors"][:, order]
    for a, b in zip(layer(**data), expected, strict=True):
        np.testing.assert_allclose(
            to_numpy(a), to_numpy(b)[:, :, order], atol=1e-5
        )


def test_a_padded_pixel_changes_nothing(rng):
    layer, data = decoder(), inputs(rng)
    expected = layer(**data)
    columns, rows = data["centers"]
    edges = ((0, 0), (0, 2))
    data["centers"] = columns, np.pad(rows, edges, constant_values=3.0)
    data["memory"] = np.pad(
        data["memory"], ((0, 0), (0, 6), (0, 0)), constant_values=3.0
    )
    mask = np.arange(12)[None].repeat(2, 0) < 6
    for a, b in zip(layer(**data, padding_mask=mask), expected, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)


def test_boxes_hardly_move_at_the_start(rng):
    layer, data = anchor_decoder(), inputs(rng)
    _, moved, started = layer(**data)
    for i in range(3):
        np.testing.assert_allclose(
            to_numpy(moved)[:, i], data["anchors"], atol=0.05
        )
    np.testing.assert_array_equal(to_numpy(started)[:, 0], data["anchors"])
    np.testing.assert_array_equal(
        to_numpy(started)[:, 1:], to_numpy(moved)[:, :-1]
    )


def test_wrong_arguments_are_refused(rng):
    with pytest.raises(ValueError, match="Received: num_queries=0"):
        AnchorQueries(0)
    with pytest.raises(ValueError, match="Received: hidden_dim=6"):
        BoxEncoding(6)
    with pytest.raises(ValueError, match="Received: num_heads=0"):
        AnchorAttentionBias(0)
    with pytest.raises(ValueError, match="`num_heads` must divide"):
        anchor_decoder(num_heads=3)(**inputs(rng))
    with pytest.raises(
        ValueError, match=r"`block` must have `num_heads`.*Dense"
    ):
        AnchorDecoder(keras.layers.Dense(8), num_layers=3)


def test_without_iteration_all_layers_start_from_the_anchors(rng):
    given = inputs(rng)
    layer = decoder(iterative_refinement=False)
    _, boxes, references = (to_numpy(x) for x in layer(**given))
    for i in range(references.shape[1]):
        np.testing.assert_array_equal(references[:, i], given["anchors"])
    assert abs(boxes[:, 0] - boxes[:, 1]).max() > 1e-3


@pytest.mark.any_backend
def test_groups_are_a_mask_within_self_attention(rng):
    given = inputs(rng)
    for name in ("queries", "anchors"):
        given[name] = np.concatenate([given[name], given[name] * 0.9], axis=1)
    layer = decoder()
    count = given["queries"].shape[1]
    number = np.arange(count) // (count // 2)
    mask = (number[:, None] == number)[None]
    found = layer(**given, num_groups=2)
    for x, expected in zip(found, layer(**given, query_mask=mask), strict=True):
        np.testing.assert_allclose(to_numpy(x), to_numpy(expected), atol=1e-5)


def test_a_bias_beside_an_attention_that_takes_boxes_is_refused():
    block = TransformerDecoderBlock(
        MultiHeadAttention(2),
        FeedForward(8),
        cross_attention=DeformableAttention(2),
    )
    with pytest.raises(ValueError, match="`attention_bias` must be None for"):
        AnchorDecoder(block, 1, attention_bias=AnchorAttentionBias(2))


def test_groups_that_do_not_fit_are_refused(rng):
    given = inputs(rng)
    with pytest.raises(ValueError, match="`num_groups` must divide"):
        decoder()(**given, num_groups=2)
    with pytest.raises(ValueError, match="`query_mask` must be None with"):
        decoder()(**given, num_groups=1, query_mask=np.ones((1, 5, 5), bool))
