import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import check_dataset
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from keras_vtr.data.host_calls import call_on_host
from keras_vtr.host_errors import own_errors
from keras_vtr.losses import HungarianLoss
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.models import DetectionModel
from tests.annotation_files import content
from tests.annotation_files import write

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def model():
    images = keras.Input((None, None, 3), name="images")
    mask = keras.Input((None, None), dtype="bool", name="padding_mask")
    pooled = keras.layers.GlobalAveragePooling2D()(images)[:, None]
    boxes = keras.layers.Dense(4, "sigmoid")(pooled)
    outputs = {"logits": keras.layers.Dense(4)(pooled), "boxes": boxes}
    inputs = {"images": images, "padding_mask": mask}
    model = DetectionModel(inputs, outputs)
    model.compile("sgd", loss=HungarianLoss())
    return model


@pytest.mark.parametrize("name", ["fit", "evaluate", "predict"])
def test_what_is_wrong_with_the_targets_is_what_fit_ends_with(name, model):
    y_true = {
        "labels": np.array([[7]], "int32"),
        "boxes": np.full((1, 1, 4), 0.5, "float32"),
    }
    inputs = {
        "images": np.zeros((1, 8, 8, 3), "float32"),
        "padding_mask": np.ones((1, 8, 8), bool),
    }
    batches = tf.data.Dataset.from_tensors((inputs, y_true))
    batches = check_dataset(batches, num_classes=3)
    with pytest.raises(ValueError, match=r"^Labels must be.*Received: 7 as"):
        options = {"shuffle": False} if name == "fit" else {}
        getattr(model, name)(batches, verbose=0, **options)


@pytest.mark.parametrize("size", [None, (60, 40)])
def test_the_picture_is_what_evaluation_ends_with(size, model, tmp_path):
    annotations, images = write(tmp_path, content())
    data = read_coco(annotations, images)
    if size is None:
        (images / "1.png").write_bytes(b"no picture")
        reason = r"1\.png can't be trained on: cannot identify"
    else:
        keras.utils.array_to_img(np.zeros((*size, 3))).save(images / "0.png")
        reason = (
            r"0\.png .* size is 40 x 60, upright .*annotated size is 60 x 40"
        )
    batches = detection_dataset(data, 1, training=False)
    with pytest.raises(ValueError, match=reason):
        model.predict(batches, verbose=0)
    with pytest.raises(ValueError, match=reason):
        CocoAveragePrecision(data=batches).evaluate(model)


def test_the_error_that_came_out_is_raised_and_no_earlier_one():
    def fail(i):
        raise KeyError(f"element {i}")

    rows = tf.data.Dataset.range(40)
    rows = rows.map(lambda i: call_on_host(fail, [i], tf.int64)).prefetch(40)
    with pytest.raises(KeyError, match="element 0"):
        with own_errors():
            list(rows)
    with pytest.raises(RuntimeError, match="another"):
        with own_errors():
            raise RuntimeError("another")
