import io
import pathlib

import filelock
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vtr.serving import export_detector
from tests.serving.chromium import opened_browser
from tests.tiny_models import tiny_detr

NAMES = ("one", "two, really", None)
SIZE = (24, 32)
SERVE = pathlib.Path(__file__).parents[2] / "examples" / "serve"


def opened(image_bytes):
    picture = Image.open(io.BytesIO(image_bytes))
    assert picture.format == "PNG"
    return np.asarray(picture)


@pytest.fixture(scope="session")
def detector(tmp_path_factory, worker_id):
    """A detector of fixed size, and its published version.

    The seed gives each process the same weights: the first one exports them.
    """
    keras.utils.set_random_seed(7)
    model = tiny_detr(image_shape=(*SIZE, 3), class_names=NAMES)
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # which all processes of the run share
    with filelock.FileLock(folder / "detr.lock"):
        if not (folder / "detr" / "1").exists():
            export_detector(model, folder / "detr", warmup_batch_sizes=(1, 2))
    return model, folder / "detr" / "1"


@pytest.fixture(scope="session")
def browser():
    """A driver of headless Chromium."""
    with opened_browser() as driver:
        yield driver


@pytest.fixture(scope="session")
def signatures(detector):
    """The published version's, loaded again."""
    loaded = tf.saved_model.load(detector[1])
    # `loaded` keeps the variables from garbage collection.
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
