import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import RepeatFactorSampling
from keras_vtr.data import batch_paths
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from keras_vtr.data.formats.records import DetectionRecords
from keras_vtr.data.order import index_at
from tests.annotation_files import content
from tests.annotation_files import write

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.data"
)


def records(labels):
    rows = [
        {"path": i, "labels": np.array(x, int)} for i, x in enumerate(labels)
    ]
    return DetectionRecords(rows, ["a", "b", "c"], [0, 1, 2], {})


# Of ten images eight have class 0, one of these class 1, and one has class 2.
DATA = records([[0, 0]] * 7 + [[0, 1], [2], []])


def test_factors_are_the_paper_s():
    sampling = RepeatFactorSampling(DATA, 0.9)
    # Shares 0.8, 0.1, 0.1: sqrt(0.9 / 0.8), and sqrt(9) twice.
    expected = [*[1.125**0.5] * 7, 3, 3, 1]
    assert sampling.num_images == round(sum(expected)) == 14
    np.testing.assert_allclose(sampling.factors, expected, rtol=1 / 28 + 1e-9)
    with pytest.raises(ValueError, match="threshold=0"):
        RepeatFactorSampling(DATA, 0)


def test_each_epoch_rounds_the_factors_and_all_epochs_have_their_mean():
    sampling = RepeatFactorSampling(DATA, 0.35)  # sqrt(3.5) = 1.87 twice
    num_epochs, size = 200, sampling.num_images
    positions = tf.range(num_epochs * size, dtype=tf.int64)
    found = tf.vectorized_map(lambda x: index_at(x, 3, sampling), positions)
    epochs, indexes, times = (np.array(x).reshape(-1, size) for x in found)
    assert (epochs == np.arange(num_epochs)[:, None]).all()
    counts = np.stack([np.bincount(row, minlength=10) for row in indexes])
    factors = sampling.factors
    assert (counts >= np.floor(factors)).all()
    assert (counts <= np.ceil(factors)).all()
    np.testing.assert_allclose(counts.mean(axis=0), factors, atol=0.1)
    for row, number in zip(indexes[:9], times[:9], strict=True):
        pairs = {*zip(row.tolist(), number.tolist(), strict=True)}
        assert len(pairs) == size  # each time of an image has its own number
        assert number.max() == np.bincount(row).max() - 1


def test_a_threshold_that_no_class_falls_below_changes_nothing():
    sampling = RepeatFactorSampling(DATA, 0.1)
    for step in (0, 3, 7):
        same = batch_paths(DATA, 5, step, sampling=sampling)
        assert batch_paths(DATA, 5, step) == same


def test_an_image_that_comes_again_looks_different_and_runs_resume(tmp_path):
    data = read_coco(*write(tmp_path, content()))
    sampling = RepeatFactorSampling(data, 1.0)  # 2 classes, in 1 of 3 each
    assert sampling.num_images == 4
    options = {"short_sides": [*range(20, 60)], "crop_range": (15, 30)}
    options |= {"sampling": sampling, "length_multiple": 1}
    whole = detection_dataset(data, 1, training=True, **options).take(12)
    whole = list(whole.as_numpy_iterator())
    paths = [batch_paths(data, 1, i, sampling=sampling) for i in range(4)]
    twice = max(paths, key=paths.count)
    i, j = (i for i in range(4) if paths[i] == twice)
    assert whole[i][0]["images"].shape != whole[j][0]["images"].shape
    rest = detection_dataset(data, 1, training=True, first_batch=5, **options)
    for one, same in zip(whole[5:], rest.as_numpy_iterator(), strict=False):
        keras.tree.map_structure(np.testing.assert_array_equal, one, same)
    with pytest.raises(ValueError, match="with `training=True`"):
        detection_dataset(data, 1, training=False, **options)
    with pytest.raises(ValueError, match="a sampling of 10 images"):
        other = RepeatFactorSampling(DATA, 1.0)
        detection_dataset(data, 1, training=True, sampling=other)
