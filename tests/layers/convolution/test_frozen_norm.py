import numpy as np
import pytest

from keras_vtr.layers import FrozenNormConv2D
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def convolve(images, kernel, strides, dilation):
    """Symmetric zero padding, in float64."""
    side = kernel.shape[0]
    pad = dilation * (side - 1) // 2
    images = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = (
        range(0, x - dilation * (side - 1), strides) for x in images.shape[1:3]
    )
    window = range(0, dilation * (side - 1) + 1, dilation)
    output = np.zeros((len(images), len(rows), len(columns), kernel.shape[3]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for a, down in enumerate(window):
                for b, right in enumerate(window):
                    pixel = images[:, row + down, column + right]
                    output[:, i, j] += pixel @ kernel[a, b]
    return output


@pytest.mark.parametrize("sides", [(8, 8), (7, 10)])
@pytest.mark.parametrize(
    ("side", "strides", "dilation"),
    [(1, 1, 1), (1, 2, 1), (3, 2, 1), (3, 1, 2), (7, 2, 1)],
)
def test_it_is_a_convolution_then_a_batch_norm(
    side, strides, dilation, sides, rng
):
    images = rng.normal(size=(2, *sides, 3)).astype("float32")
    layer = FrozenNormConv2D(5, side, strides, dilation, epsilon=0.01)
    layer(images)
    set_weights(layer)
    kernel, gamma, beta, mean, variance = (
        weight.numpy().astype("float64") for weight in layer.weights
    )
    expected = convolve(images.astype("float64"), kernel, strides, dilation)
    expected = (expected - mean) / np.sqrt(variance + 0.01) * gamma + beta
    np.testing.assert_allclose(to_numpy(layer(images)), expected, atol=1e-4)


def test_only_the_kernel_is_trained():
    layer = FrozenNormConv2D(5, 3)
    layer.build((None, None, None, 3))
    layer.trainable = True
    assert [x.name for x in layer.trainable_weights] == ["kernel"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": 0},
        {"kernel_size": 2},
        {"strides": 0},
        {"dilation_rate": 0},
        {"epsilon": 0.0},
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        FrozenNormConv2D(**{"filters": 4, "kernel_size": 3, **wrong})


def test_images_of_the_wrong_rank_are_refused():
    with pytest.raises(ValueError, match=r"must have the shape \(B, height, w"):
        FrozenNormConv2D(4, 3)(np.ones((2, 3, 4), "float32"))
