import pathlib

import keras
import pytest
import tensorflow as tf

from keras_vtr.serving import export_detector
from tests.tiny_models import tiny_detr

NAMES = ("one", "two, really", None)
SIZE = (24, 32)
SERVE = pathlib.Path(__file__).parents[2] / "examples" / "serve"


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """A detector of fixed size, and its published version."""
    keras.utils.set_random_seed(7)
    model = tiny_detr(image_shape=(*SIZE, 3), class_names=NAMES)
    folder = tmp_path_factory.mktemp("models") / "detr"
    return model, export_detector(model, folder, warmup_batch_sizes=(1, 2))


@pytest.fixture(scope="session")
def signatures(detector):
    """The published version's, loaded again."""
    loaded = tf.saved_model.load(detector[1])
    # What isn't held is collected, its variables too.
    return {"loaded": loaded, **loaded.signatures}


@pytest.fixture(scope="session")
def ask(signatures):
    """From a list of encoded images to the answer, in NumPy."""

    def ask(images):
        answer = signatures["serving_default"](
            image_bytes=tf.constant(images, tf.string)
        )
        return {key: x.numpy() for key, x in answer.items()}

    return ask
