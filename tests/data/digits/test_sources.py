import sys

import numpy as np
import pytest

from keras_vtr.data import load_digits
from keras_vtr.data.digits.sources import load_photographs


def test_the_splits_share_no_digit():
    train, train_labels, _ = load_digits("train")
    held_out, held_out_labels, _ = load_digits("held_out")
    assert len(train) == 1347 and len(held_out) == 450
    seen = {image.tobytes() for image in train}
    assert not any(image.tobytes() in seen for image in held_out)
    assert set(train_labels) == set(held_out_labels) == set(range(10))


def test_the_splits_share_no_pixel_of_a_photograph():
    from sklearn.datasets import load_sample_images

    whole = np.stack(load_sample_images().images).mean(axis=-1)
    parts = [load_photographs(split) for split in ("train", "held_out")]
    assert [part.shape for part in parts] == [(2, 427, 380), (2, 427, 260)]
    # Side by side they are the photographs: no column is in both.
    joined = np.concatenate(parts, axis=-1)
    np.testing.assert_allclose(joined, whole, rtol=1e-6)


@pytest.mark.parametrize("load", [load_digits, load_photographs])
def test_without_scikit_learn_its_installation_is_named(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        load.__wrapped__("train")
