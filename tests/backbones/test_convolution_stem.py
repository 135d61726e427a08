import numpy as np
import pytest

from keras_vtr.backbones import build_convolution_stem


@pytest.mark.parametrize(
    ("filters", "shape"),
    [
        ((5,), (2, 16, 24, 5)),
        ((5, 7, 11), (2, 4, 6, 11)),
        ((5, 7, 11, 13), (2, 4, 6, 13)),
    ],
)
def test_three_convolutions_halve_the_image_and_the_rest_do_not(filters, shape):
    stem = build_convolution_stem((None, None, 3), filters=filters)
    assert tuple(stem(np.ones((2, 32, 48, 3))).shape) == shape


def test_a_stem_needs_a_filter():
    with pytest.raises(ValueError, match=r"Received: filters=\(\)"):
        build_convolution_stem(filters=())
