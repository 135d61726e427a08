import keras
import numpy as np
import pytest

from keras_vtr.layers import LocalAttention2D
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def built(shape, **options):
    layer = LocalAttention2D(**{"filters": 8, "num_heads": 2, **options})
    layer.build(shape)
    set_weights(layer)
    return layer


def weights(layer):
    return {x.path.split("/", 1)[-1]: x.numpy() for x in layer.weights}


def expected(layer, images, real):
    """Window by window, in float64, with dense attention's bookkeeping."""
    w = {
        key.split("/")[-2 if "/" in key else -1]: x
        for key, x in weights(layer).items()
    }
    batch, height, width, _ = images.shape
    heads, key_dim, k = layer.num_heads, layer.key_dim, layer.kernel_size
    split = (batch, height, width, heads, key_dim)
    query = (images @ w["query_projection"]).reshape(split) / key_dim**0.5
    key = (images @ w["key_projection"]).reshape(split)
    value = (images @ w["value_projection"]).reshape(split)
    output = np.zeros(split)
    for index in np.ndindex(batch, height, width, heads):
        b, y, x, h = index
        logits, values = [], []
        for i, j in np.ndindex(k, k):
            row, column = y + i - k // 2, x + j - k // 2
            inside = 0 <= row < height and 0 <= column < width
            if not inside or not real[b, row, column]:
                continue
            position = np.concatenate(
                [w["row_embedding"][i, h], w["column_embedding"][j, h]]
            )
            logits.append(query[index] @ (key[b, row, column, h] + position))
            values.append(value[b, row, column, h])
        if logits:
            scores = np.exp(np.array(logits) - max(logits))
            output[index] = scores / scores.sum() @ np.array(values)
    return output.reshape(batch, height, width, -1)


@pytest.mark.parametrize("kernel_size", [3, 5, 11])
def test_it_is_dense_attention_under_the_mask_of_the_window(kernel_size, rng):
    images = rng.normal(size=(2, 5, 7, 3)).astype("float32")
    real = rng.random((2, 5, 7)) < 0.7
    layer = built(images.shape, kernel_size=kernel_size)
    output, scores = layer(
        images, padding_mask=real, return_attention_scores=True
    )
    np.testing.assert_allclose(
        to_numpy(output), expected(layer, images, real), atol=1e-5
    )
    assert scores.shape == (2, 5, 7, 2, kernel_size**2)
    sums = to_numpy(scores).sum(axis=-1)
    assert ((abs(sums - 1) < 1e-5) | (sums == 0)).all()


@pytest.mark.any_backend
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2, 5])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_its_windows_are_those_of_a_convolution(
    kernel_size, strides, padding, rng
):
    for sides in ((8, 11), (9, 7)):
        images = rng.normal(size=(1, *sides, 3)).astype("float32")
        options = {"kernel_size": kernel_size, "padding": padding}
        layer = built(images.shape, strides=strides, **options)
        # Without logits all real pixels weigh the same: a mean over the
        # window, which a convolution of ones computes too.
        for weight in layer.weights:
            if "value_projection" not in weight.path:
                weight.assign(np.zeros(weight.shape))
        value = layer.value_projection(images)
        mean = []
        for x in (value, keras.ops.ones_like(value)):
            mean.append(
                keras.ops.depthwise_conv(
                    x,
                    keras.ops.ones((kernel_size, kernel_size, 8, 1)),
                    strides=strides,
                    padding=padding,
                )
            )
        output = layer(images)
        assert layer.compute_output_shape(images.shape) == tuple(output.shape)
        np.testing.assert_allclose(
            to_numpy(output), to_numpy(mean[0] / mean[1]), atol=1e-5
        )


def test_a_shifted_image_has_shifted_features(rng):
    images = rng.normal(size=(1, 12, 12, 3)).astype("float32")
    layer = built(images.shape, kernel_size=3, padding="valid")
    output = to_numpy(layer(images))
    moved = to_numpy(layer(images[:, 2:, 1:]))
    np.testing.assert_allclose(moved, output[:, 2:, 1:], atol=1e-6)


def test_what_is_outside_of_the_window_changes_nothing(rng):
    images = rng.normal(size=(1, 9, 9, 3)).astype("float32")
    layer = built(images.shape, kernel_size=5)
    other = images.copy()
    other[:, 7:] = 100.0
    before, after = to_numpy(layer(images)), to_numpy(layer(other))
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).any()


def test_padding_changes_nothing(rng):
    images = rng.normal(size=(1, 6, 5, 3)).astype("float32")
    layer = built(images.shape, kernel_size=3)
    padded = np.pad(images, ((0, 0), (0, 4), (0, 3), (0, 0)), constant_values=7)
    mask = np.zeros((1, 10, 8), bool)
    mask[:, :6, :5] = True
    output = to_numpy(layer(padded, padding_mask=mask))
    np.testing.assert_allclose(
        output[:, :6, :5], to_numpy(layer(images)), atol=1e-6
    )
    # The output of a window of padding alone is zero.
    assert not output[:, 8:].any()


def test_it_can_replace_a_convolution(rng):
    images = keras.Input((16, 16, 3))
    x = LocalAttention2D(8, 3, num_heads=2, strides=2)(images)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    model = keras.Model(images, LocalAttention2D(4, 5, num_heads=1)(x))
    assert model.output_shape == (None, 8, 8, 4)
    # Its parameters: three projections and two embeddings of k x filters / 2.
    assert model.layers[1].count_params() == 3 * 3 * 8 + 2 * 3 * 8 // 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "must be odd and 3 or more"),
        ({"kernel_size": 1}, "must be odd and 3 or more"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"filters": 6}, r"multiple of 2 \* `num_heads`"),
        ({"strides": 0}, "strides"),
        ({"padding": "causal"}, "padding"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention2D(
            **{"filters": 8, "kernel_size": 3, "num_heads": 2, **options}
        )


def test_wrong_shapes_are_refused():
    layer = LocalAttention2D(8, 5, num_heads=2, padding="valid")
    with pytest.raises(ValueError, match="must be `kernel_size` or more"):
        layer.build((1, 4, 9, 3))
    with pytest.raises(ValueError, match="feature_map"):
        layer.build((1, 4, 9))
    with pytest.raises(ValueError, match="padding_mask"):
        layer.build((1, 6, 9, 3), (1, 6))
