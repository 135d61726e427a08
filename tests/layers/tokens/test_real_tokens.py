import numpy as np

from keras_vtr.layers import RealTokens
from tests.layer_checks import to_numpy


def test_what_is_not_padding_is_real():
    tokens = np.array([[4, 9, 0, 0], [0, 1, 2, 0]])
    expected = [[1, 1, 0, 0], [0, 1, 1, 0]]
    np.testing.assert_array_equal(to_numpy(RealTokens()(tokens)), expected)
