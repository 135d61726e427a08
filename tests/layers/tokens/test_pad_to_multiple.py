import keras
import numpy as np
import pytest

from keras_vtr.layers import PadToMultiple
from tests.layer_checks import to_numpy


def test_zeros_come_below_and_on_the_right_and_a_mask_says_so(rng):
    images = rng.normal(size=(2, 5, 6, 3)).astype("float32")
    layer = PadToMultiple(3)
    found = to_numpy(layer(images))
    np.testing.assert_array_equal(found[:, :5], images)
    assert found.shape == (2, 6, 6, 3) and not found[:, 5:].any()
    mask = layer(np.ones((2, 5, 6), bool))
    assert keras.backend.standardize_dtype(mask.dtype) == "bool"
    assert to_numpy(mask)[:, :5].all() and not to_numpy(mask)[:, 5:].any()
    symbolic = layer(keras.Input((None, 7), dtype="bool"))
    assert symbolic.shape == (None, None, 9) and symbolic.dtype == "bool"


@pytest.mark.parametrize("multiple", [0, -2, 1.5, None])
def test_a_multiple_is_a_whole_number(multiple):
    with pytest.raises(ValueError, match="`multiple` must be"):
        PadToMultiple(multiple)
    with pytest.raises(ValueError, match=r"Received: images.shape=\(2, 3\)"):
        PadToMultiple(2)(np.ones((2, 3)))
