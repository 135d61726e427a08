import numpy as np

from keras_vtr.layers import RealTokens
from tests.layer_checks import check_layer
from tests.layer_checks import to_numpy


def test_passes_the_check_of_every_layer(tmp_path):
    check_layer(
        RealTokens,
        {"padding": 3},
        {"tokens": (2, 5)},
        (2, 5),
        output_dtype="bool",
        tmp_path=tmp_path,
    )


def test_what_is_not_padding_is_real():
    tokens = np.array([[4, 9, 0, 0], [0, 1, 2, 0]])
    expected = [[1, 1, 0, 0], [0, 1, 1, 0]]
    np.testing.assert_array_equal(to_numpy(RealTokens()(tokens)), expected)
