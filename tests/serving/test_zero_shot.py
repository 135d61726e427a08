"""A served image tower answers with the embeddings of transformers."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.pretrained import from_pretrained
from keras_vtr.serving import export_features
from tests.parity import MARKS
from tests.parity import torch
from tests.parity import transformers
from tests.pretrained import family_names

pytestmark = MARKS


@pytest.mark.parametrize("name", ["CLIPModel", "SiglipModel"])
def test_features_are_those_of_images_in_their_space(name, tmp_path, rng):
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**family_names.TOWERS)).eval()
    model.save_pretrained(tmp_path)
    options = {"pixel_mean": 127.5, "pixel_std": 127.5, "verbose": False}
    ours = from_pretrained(tmp_path, **options)
    path = export_features(ours, tmp_path / "served")
    images = rng.integers(0, 256, size=(3, 32, 32, 3)).astype("uint8")
    answer = tf.saved_model.load(path).signatures["images"](images=images)
    pixels = torch.tensor(images.transpose(0, 3, 1, 2)) / 127.5 - 1
    with torch.no_grad():
        theirs = model.get_image_features(pixel_values=pixels).pooler_output
    expected = theirs.numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(answer["features"], expected, atol=1e-4)
