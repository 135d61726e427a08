import keras
import numpy as np
import pytest

from keras_vtr.layers import DenoisingQueries
from tests.layer_checks import to_numpy

CONFIG = {"num_groups": 3, "num_classes": 7, "hidden_dim": 8}


def targets(rng, num_images=2, most=4):
    boxes = rng.uniform(0.3, 0.5, size=(num_images, most, 4))
    labels = rng.integers(0, 7, size=(num_images, most))
    labels[0, 2:] = -1
    return boxes.astype("float32"), labels.astype("int32")


def test_which_queries_may_attend_to_which(rng):
    boxes, labels = targets(rng)
    *_, allowed = DenoisingQueries(**CONFIG)(boxes, labels)
    allowed = to_numpy(allowed).astype(bool)
    same = np.kron(np.eye(3), np.ones((4, 4))).astype(bool)
    np.testing.assert_array_equal(allowed[1], same)  # each group only itself
    padding = np.tile(labels[0] < 0, 3)
    assert not allowed[0, :, :12][:, padding].any()
    assert allowed[0, 0, :2].all()


def test_noise_stays_within_its_bounds_and_differs_by_group(rng):
    boxes, labels = targets(rng, 200)
    layer = DenoisingQueries(**CONFIG, box_noise=0.4, label_noise=0.5, seed=1)
    _, noised, _ = layer(boxes, labels)
    noised = to_numpy(noised).reshape(200, 3, 4, 4)
    moved = abs(noised - boxes[:, None])
    sides = boxes[:, None, :, 2:]
    assert (moved[..., :2] <= 0.2 * sides + 1e-6).all()
    assert (moved[..., 2:] <= 0.4 * sides + 1e-6).all()
    assert moved[..., :2].mean() > 0.03 and moved[..., 2:].mean() > 0.06
    assert (noised[:, 0] != noised[:, 1]).mean() > 0.99
    again = to_numpy(layer(boxes, labels)[1]).reshape(noised.shape)
    assert (again != noised).mean() > 0.99


def test_half_precision_does_not_round_boxes(rng):
    boxes, labels = targets(rng)
    layer = DenoisingQueries(**CONFIG, box_noise=0.0, dtype="mixed_bfloat16")
    noised = to_numpy(layer(boxes, labels)[1]).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(noised[:, 1], boxes, atol=1e-6)


def test_labels_are_replaced_at_the_given_rate(rng):
    layer = DenoisingQueries(**CONFIG, label_noise=0.35, seed=1)
    labels = rng.integers(0, 7, size=(500, 4)).astype("int32")
    queries, _, _ = layer(np.ones((500, 4, 4), "float32"), labels)
    table = to_numpy(layer.embedding.embeddings)
    queries = to_numpy(queries).reshape(500, 3, 4, 8)
    kept = (queries == table[labels][:, None]).all(axis=-1).mean()
    np.testing.assert_allclose(kept, 1 - 0.35 * 6 / 7, atol=0.02)


def test_padding_gives_finite_queries():
    boxes = np.zeros((2, 4, 4), "float32")
    outputs = DenoisingQueries(**CONFIG)(boxes, np.full((2, 4), -1))
    for output in outputs:
        assert np.isfinite(to_numpy(output)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_groups": 0},
        {"num_classes": 0},
        {"hidden_dim": 0},
        {"box_noise": 1.0},
        {"label_noise": -0.1},
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        DenoisingQueries(**{**CONFIG, **wrong})


def test_an_unknown_number_of_targets_is_refused():
    boxes, labels = keras.Input((None, 4)), keras.Input((None,), dtype="int32")
    with pytest.raises(ValueError, match="known number of targets M"):
        DenoisingQueries(**CONFIG)(boxes, labels)
