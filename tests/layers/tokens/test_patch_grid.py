import numpy as np
import pytest

from keras_vtr.layers import PatchGrid
from tests.layer_checks import to_numpy


def test_patches_come_in_raster_order_behind_the_leading_tokens():
    tokens = np.arange(8, dtype="float32")[None, :, None]
    found = PatchGrid(num_leading_tokens=2)(tokens, np.zeros((1, 2, 3, 5)))
    assert to_numpy(found)[0, ..., 0].tolist() == [[2, 3, 4], [5, 6, 7]]


def test_another_number_of_tokens_is_refused():
    with pytest.raises(ValueError, match="Received: 7 tokens, num_leading_to"):
        PatchGrid(num_leading_tokens=2)(
            np.ones((1, 7, 4)), np.ones((1, 2, 3, 4))
        )
    with pytest.raises(ValueError, match="`num_leading_tokens` must be an int"):
        PatchGrid(num_leading_tokens=-1)
