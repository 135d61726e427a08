import keras
import numpy as np
import pytest

from keras_vtr import layers
from keras_vtr.backbones import build_convolution_stem
from keras_vtr.models import build_detr
from keras_vtr.models import build_vit
from keras_vtr.visualization import attention_maps
from keras_vtr.visualization import attention_rollout
from keras_vtr.visualization import draw_attention
from keras_vtr.visualization.attention import rollout

TINY = {
    "image_shape": (8, 12, 1),
    "patch_size": 4,
    "hidden_dim": 2,
    "num_layers": 1,
    "num_heads": 1,
    "mlp_dim": 4,
    "position": "none",
    "pixel_mean": 0.0,
    "pixel_std": 255.0,
    "normalize_first": False,
}


def look_at_the_bright_patch():
    """A class token whose query meets a patch's brightness as its key."""
    vit = build_vit(2, **TINY)
    for weight in vit.weights:
        weight.assign(np.zeros(weight.shape))
    values = {
        "patches/projection/kernel": np.full((4, 4, 1, 2), [1 / 16, 0]),
        "class_token/class_token": [[[0, 1]]],
        "query_projection/kernel": [[0, 0], [1, 0]],
        "key_projection/kernel": [[5, 0], [0, 0]],
    }
    for end, value in values.items():
        (weight,) = (x for x in vit.weights if x.path.endswith(end))
        weight.assign(value)
    return vit


def image_with_a_bright_patch(row, column):
    image = np.zeros((1, 8, 12, 1), "float32")
    image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    return image


@pytest.mark.parametrize(("row", "column"), [(0, 2), (1, 0), (1, 1)])
def test_the_map_is_solved_by_hand_and_lies_as_the_image_does(row, column):
    vit = look_at_the_bright_patch()
    image = image_with_a_bright_patch(row, column)
    maps = attention_maps(vit, image)
    assert maps.shape == (1, 1, 1, 2, 3)
    # Logits: 5 / sqrt(2) for the bright patch; 0 for five others and itself.
    e = np.exp(5 / np.sqrt(2))
    expected = np.full((2, 3), 1 / (e + 6))
    expected[row, column] = e / (e + 6)
    np.testing.assert_allclose(maps[0, 0, 0], expected, rtol=1e-5)
    rolled = attention_rollout(vit, image)
    np.testing.assert_allclose(rolled[0], expected / 2, rtol=1e-5)
    picture = np.asarray(draw_attention(image[0], maps[0, 0, 0], opacity=1.0))
    brightest = np.argmax(picture.sum(axis=-1))
    y, x = divmod(int(brightest), 12)
    assert (y // 4, x // 4) == (row, column)


def test_rollout_is_solved_by_hand():
    """Two layers over two tokens: the second one only swaps them."""
    first = [[1.0, 0.0], [0.5, 0.5]]
    second = [[0.0, 1.0], [1.0, 0.0]]
    scores = np.array([first, second])[None, :, None]
    # With the residual: [[1, 0], [.25, .75]], then [[.5, .5], [.5, .5]].
    np.testing.assert_allclose(rollout(scores)[0], [[0.625, 0.375]] * 2)


@pytest.mark.parametrize("position", ["learned_1d", "learned_2d", "relative"])
@pytest.mark.parametrize("pooling", ["class_token", "mean"])
def test_it_works_for_every_kind_of_vit(position, pooling, rng):
    vit = build_vit(
        3,
        image_shape=(None, None, 3),
        position_grid=(2, 2),
        patch_size=4,
        hidden_dim=12,
        num_layers=2,
        num_heads=3,
        mlp_dim=8,
        num_register_tokens=2,
        position=position,
        pooling=pooling,
    )
    images = rng.uniform(0, 255, size=(2, 12, 20, 3))
    maps = attention_maps(vit, images)
    assert maps.shape == (2, 2, 3, 3, 5)
    assert (maps > 0).all() and (maps.sum(axis=(-1, -2)) < 1).all()
    assert attention_rollout(vit, images).shape == (2, 3, 5)


def test_it_works_for_detrs_encoder(rng):
    detr = build_detr(
        3,
        image_shape=(32, 48, 3),
        num_queries=2,
        hidden_dim=8,
        num_heads=2,
        mlp_dim=8,
        num_encoder_layers=2,
        num_decoder_layers=1,
        backbone=build_convolution_stem((32, 48, 3)),
    )
    maps = attention_maps(detr, rng.uniform(0, 255, size=(1, 32, 48, 3)))
    assert maps.shape == (1, 2, 2, 4, 6)
    np.testing.assert_allclose(maps.sum(axis=(-1, -2)), 1.0, atol=1e-5)


def test_a_model_without_a_named_map_is_refused():
    block = layers.TransformerEncoderBlock(
        layers.MultiHeadAttention(1), layers.FeedForward(2)
    )
    images = keras.Input((4, 4, 3))
    x = keras.layers.Reshape((16, 3))(images)
    x = layers.TransformerEncoder(block, num_layers=1)(x)
    with pytest.raises(ValueError, match="named 'patches' or 'input_projectio"):
        attention_maps(keras.Model(images, x), np.zeros((1, 4, 4, 3)))


def test_a_model_without_encoder_is_refused():
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, keras.layers.Flatten()(images), name="flat")
    with pytest.raises(ValueError, match="Received: 'flat' with 0"):
        attention_maps(model, np.zeros((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"attention.shape=\(3,\)"):
        draw_attention(np.zeros((4, 4, 3)), np.zeros(3))
