import numpy as np
import pytest

from keras_vtr.layers import MaskPadding
from keras_vtr.layers import ResizePaddingMask
from tests.layer_checks import to_numpy


def test_padding_is_set_to_zero(rng):
    feature_map = rng.normal(size=(2, 7, 5, 3)).astype("float32")
    mask = rng.random((2, 7, 5)) < 0.5
    np.testing.assert_array_equal(
        to_numpy(MaskPadding()(feature_map, mask)),
        feature_map * mask[..., None],
    )


@pytest.mark.parametrize(
    ("before", "after"), [(97, 4), (64, 2), (70, 3), (7, 7), (3, 7), (1333, 42)]
)
def test_a_row_of_the_mask_is_its_nearest_row(before, after):
    mask = np.tril(np.ones((before, before), bool))[:, :, None]  # all lengths
    feature_map = np.zeros((before, after, 1, 2), "float32")
    found = to_numpy(ResizePaddingMask()(mask, feature_map))[..., 0]
    nearest = np.arange(after) * before // after
    np.testing.assert_array_equal(found, mask[:, nearest, 0])


@pytest.mark.parametrize("shape", [(2, 7, 6), (2, 5, 7), (2, 1, 5)])
def test_a_mask_of_another_size_is_refused(shape):
    with pytest.raises(ValueError, match="height and width of the images"):
        MaskPadding()(np.ones((2, 7, 5, 3), "float32"), np.ones(shape, bool))


@pytest.mark.parametrize("layer_class", [MaskPadding, ResizePaddingMask])
def test_a_mask_of_the_wrong_rank_is_refused(layer_class):
    with pytest.raises(ValueError, match="`padding_mask` must have the shape"):
        layer_class()(
            feature_map=np.ones((2, 7, 5, 3), "float32"),
            padding_mask=np.ones((2, 7), bool),
        )
