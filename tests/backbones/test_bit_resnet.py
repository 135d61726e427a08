import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_bit_resnet
from tests.layer_checks import to_numpy


@pytest.mark.parametrize(
    ("num_units", "stride", "features"),
    [((), 4, 32), ((1,), 4, 128), ((1, 1), 8, 256), ((1, 1, 2), 16, 512)],
)
def test_each_stage_halves_the_map_and_doubles_its_features(
    num_units, stride, features, rng
):
    resnet = build_bit_resnet((None, None, 3), num_units, width=32)
    images = rng.normal(size=(2, 33, 49, 3)).astype("float32")
    shape = (2, -(-33 // stride), -(-49 // stride), features)
    assert tuple(resnet(images).shape) == shape


def test_a_unit_is_initially_the_identity(rng):
    resnet = build_bit_resnet((16, 16, 3), (2,), width=32)
    units = keras.Model(
        resnet.input,
        [resnet.get_layer(f"stage_0_unit_{i}_relu_2").output for i in range(2)],
    )
    before, after = units(rng.normal(size=(1, 16, 16, 3)))
    np.testing.assert_array_equal(to_numpy(before), to_numpy(after))


def test_the_width_must_fit_the_groups():
    with pytest.raises(ValueError, match="Received: width=48"):
        build_bit_resnet(width=48)
