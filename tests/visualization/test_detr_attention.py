import numpy as np
import pytest

from keras_vtr.models import build_vit
from keras_vtr.visualization import attention_maps
from keras_vtr.visualization import draw_query_attention
from keras_vtr.visualization import pixel_attention
from keras_vtr.visualization import query_attention
from tests.tiny_models import color_detr
from tests.tiny_models import pixels

KINDS = ("learned", "anchors")


@pytest.mark.parametrize("queries", KINDS)
def test_each_query_s_weights_lie_over_the_map(queries, rng):
    detr = color_detr(queries=queries)
    images = pixels(rng, 2, 32, 48, 3)
    maps = query_attention(detr, images)
    assert maps.shape == (2, 3, 3, 5, 4, 6)  # B, L, H, Q, rows, columns
    np.testing.assert_allclose(maps.sum(axis=(-1, -2)), 1.0, atol=1e-5)


@pytest.mark.parametrize("queries", KINDS)
def test_nobody_looks_at_padding(queries, rng):
    detr = color_detr(
        queries=queries, image_shape=(None, None, 3), padding="published"
    )
    mask = np.ones((1, 32, 48), bool)
    mask[:, 16:] = mask[:, :, 24:] = False
    inputs = {"images": pixels(rng, 1, 32, 48, 3), "padding_mask": mask}
    for maps in (
        query_attention(detr, inputs),
        pixel_attention(detr, inputs, [(0.1, 0.2)]),
    ):
        assert maps.shape[-2:] == (4, 6)
        assert (maps[..., 2:, :] == 0).all() and (maps[..., 3:] == 0).all()
        np.testing.assert_allclose(maps.sum(axis=(-1, -2)), 1.0, atol=1e-5)


def test_a_point_is_the_pixel_that_it_lies_in(rng):
    detr = color_detr()
    images = pixels(rng, 2, 32, 48, 3)
    points = [
        ((j + 0.5) / 6, (i + 0.5) / 4) for i in range(4) for j in range(6)
    ]
    maps = pixel_attention(detr, images, points)
    assert maps.shape == (2, 1, 3, 24, 4, 6)
    np.testing.assert_allclose(
        maps.mean(axis=3), attention_maps(detr, images), atol=1e-6
    )
    moved = pixel_attention(detr, images, [(0.0, 0.999), (0.999, 0.0)])
    np.testing.assert_array_equal(moved, maps[:, :, :, [18, 5]])


@pytest.mark.parametrize("points", [[(1.0, 0.5)], [(-0.1, 0.5)], [0.5, 0.5]])
def test_points_outside_the_image_are_refused(points, rng):
    with pytest.raises(ValueError, match="`points` must have the shape"):
        pixel_attention(color_detr(), pixels(rng, 1, 32, 48, 3), points)


def test_detections_are_drawn_over_what_was_looked_at(rng):
    detr = color_detr(class_names=list("abcdefg"))
    image = pixels(rng, 32, 48, 3)
    picture = draw_query_attention(detr, image, score_threshold=0.0, scale=2)
    assert picture.size == (4 * 96 + 3 * 4, 2 * 64 + 4)  # 5 queries, in a grid
    assert draw_query_attention(detr, image, score_threshold=1.0).size == (
        48,
        32,
    )
    padded = color_detr(image_shape=(None, None, 3), padding="published")
    again = draw_query_attention(padded, image, score_threshold=0.0)
    assert again.size == (4 * 48 + 3 * 4, 2 * 32 + 4)


def test_a_model_without_decoder_is_refused(rng):
    vit = build_vit(
        3, image_shape=(32, 48, 3), hidden_dim=8, num_layers=1, num_heads=2,
        mlp_dim=8, patch_size=16,
    )  # fmt: skip
    with pytest.raises(ValueError, match="TransformerDecoder or AnchorDecoder"):
        query_attention(vit, pixels(rng, 1, 32, 48, 3))


def test_the_attention_of_a_detector_with_a_vit_is_its_own(rng):
    vit = build_vit(
        0,
        image_shape=(32, 48, 3),
        patch_size=8,
        hidden_dim=12,
        num_layers=1,
        num_heads=3,
        mlp_dim=8,
    )
    detr = color_detr(backbone=vit)
    images = pixels(rng, 1, 32, 48, 3)
    assert attention_maps(detr, images).shape == (1, 1, 3, 4, 6)
    assert query_attention(detr, images).shape == (1, 3, 3, 5, 4, 6)
