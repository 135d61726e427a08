import pathlib

import numpy as np
import pytest

from keras_vtr.layers import LayerScale
from keras_vtr.layers import StochasticDepth
from tests.layer_checks import to_numpy

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"


def test_each_image_loses_its_complete_branch_or_nothing():
    branch = np.ones((2000, 3, 5), "float32")
    layer = StochasticDepth(0.25, seed=1)
    np.testing.assert_array_equal(to_numpy(layer(branch)), branch)
    dropped = to_numpy(layer(branch, training=True))
    first = dropped[:, 0, 0]
    np.testing.assert_array_equal(
        dropped, np.broadcast_to(first[:, None, None], dropped.shape)
    )
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert abs((first == 0).mean() - 0.25) < 0.04  # four standard deviations


def test_equals_tensorflow_addons_on_a_branch_times_its_survival():
    """Addons scales in inference, we in training: the docstring's law."""
    golden = np.load(GOLDEN / "addons.npz")
    shortcut, branch = golden["shortcut"], golden["branch"]
    survival = float(golden["survival"])
    layer = StochasticDepth(1 - survival)
    scaled = branch * survival
    np.testing.assert_allclose(
        shortcut + to_numpy(layer(scaled)), golden["inference"], atol=1e-6
    )
    outcomes = {"kept": golden["kept"], "dropped": golden["dropped"]}
    seen = set()
    for _ in range(20):
        found = shortcut + to_numpy(layer(scaled, training=True))
        for i in range(len(found)):
            close = {
                name
                for name, value in outcomes.items()
                if np.allclose(found[i], value[i], atol=1e-5)
            }
            assert len(close) == 1
            seen |= close
    assert seen == {"kept", "dropped"}


def test_layer_scale_multiplies_each_channel():
    layer = LayerScale(0.5)
    branch = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_allclose(to_numpy(layer(branch)), branch / 2)
    layer.set_weights([np.array([1.0, 10.0, 100.0])])
    np.testing.assert_allclose(
        to_numpy(layer(branch)), branch * [1, 10, 100], rtol=1e-6
    )


def test_arguments_must_be_in_range():
    with pytest.raises(ValueError, match="Received: rate=1"):
        StochasticDepth(1)
    with pytest.raises(ValueError, match="Received: initial_value=0"):
        LayerScale(0)
