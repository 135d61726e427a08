import keras
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from keras_vtr.layers.positions.interpolation import INTERPOLATIONS
from keras_vtr.layers.positions.interpolation import enlarge
from keras_vtr.layers.positions.interpolation import interpolation_matrix
from keras_vtr.layers.positions.interpolation import resize_grid
from tests.layer_checks import to_numpy

GRIDS = [
    ((5, 7), (5, 7)),
    ((5, 7), (11, 3)),
    ((7, 7), (2, 13)),
    ((3, 3), (1, 2)),
]


@pytest.mark.parametrize(("old", "new"), GRIDS, ids=str)
def test_bilinear_is_scipys_zoom(old, new, rng):
    table = rng.normal(size=(*old, 3)).astype("float32")
    zoom = (new[0] / old[0], new[1] / old[1], 1)
    # SciPy rounds the product of size and zoom.
    expected = scipy.ndimage.zoom(table, zoom, order=1)
    found = to_numpy(resize_grid(table, new, "bilinear"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), GRIDS, ids=str)
def test_bicubic_antialias_is_pillows(old, new, rng):
    table = rng.normal(size=(*old, 3)).astype("float32")
    expected = np.stack(
        [
            Image.fromarray(table[..., i]).resize(
                new[::-1], Image.Resampling.BICUBIC
            )
            for i in range(3)
        ],
        axis=-1,
    )
    found = to_numpy(resize_grid(table, new, "bicubic_antialias"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_enlarging_is_bilinear(factor, rng):
    x = rng.normal(size=(2, 3, 5, 7)).astype("float32")
    expected = keras.ops.image.resize(
        x, (3 * factor, 5 * factor), data_format="channels_last"
    )
    np.testing.assert_allclose(
        to_numpy(enlarge(x, factor)), to_numpy(expected), atol=1e-5
    )


@pytest.mark.parity
@pytest.mark.parametrize(("old", "new"), GRIDS, ids=str)
@pytest.mark.parametrize("antialias", [True, False])
def test_bicubic_is_torchs(old, new, antialias, rng):
    torch = pytest.importorskip("torch")
    table = rng.normal(size=(*old, 3)).astype("float32")
    expected = torch.nn.functional.interpolate(
        torch.tensor(table.transpose(2, 0, 1)[None]),
        size=new,
        mode="bicubic",
        align_corners=False,
        antialias=antialias,
    )[0].numpy()
    kind = "bicubic_antialias" if antialias else "bicubic"
    found = to_numpy(resize_grid(table, new, kind))
    np.testing.assert_allclose(found, expected.transpose(1, 2, 0), atol=1e-5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("new_size", [1, 4, 5, 6, 23])
def test_each_new_place_is_a_mean_of_old_ones(interpolation, new_size):
    matrix = to_numpy(interpolation_matrix(5, new_size, interpolation))
    assert matrix.shape == (new_size, 5)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-6)
    if new_size == 5:
        np.testing.assert_array_equal(matrix, np.eye(5))


def test_a_grid_of_one_place_fills_every_other(rng):
    table = rng.normal(size=(1, 1, 3)).astype("float32")
    for interpolation in INTERPOLATIONS:
        found = to_numpy(resize_grid(table, (2, 3), interpolation))
        np.testing.assert_allclose(
            found, np.broadcast_to(table, (2, 3, 3)), atol=1e-6
        )


def test_a_size_that_is_known_only_in_the_graph_gives_the_same(rng):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX knows every size")
    import tensorflow as tf

    table = rng.normal(size=(4, 6, 3)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32)])
    def resize(grid):
        return resize_grid(tf.constant(table), (grid[0], grid[1]), "bicubic")

    np.testing.assert_allclose(
        resize(tf.constant([9, 5])),
        resize_grid(table, (9, 5), "bicubic"),
        atol=1e-6,
    )
