import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.models import DetectionModel
from tests.layer_checks import to_numpy
from tests.tiny_models import IMAGE_SHAPE
from tests.tiny_models import batch
from tests.tiny_models import compiled
from tests.tiny_models import tiny_detr

TERMS = (
    "label_loss",
    "box_loss",
    "giou_loss",
    "class_error",
    "cardinality_error",
)


@pytest.mark.any_backend
def test_fit_shows_the_terms_of_the_last_layer(rng):
    model = compiled(tiny_detr())
    images, y_true = batch(rng)
    logs = model.evaluate(images, y_true, return_dict=True, verbose=0)
    assert set(logs) == {"loss", *TERMS}
    y_pred = model(images)
    terms = HungarianLoss().term_values(y_true, y_pred)
    for name in TERMS:
        np.testing.assert_allclose(
            logs[name], to_numpy(terms[name])[-1], rtol=1e-4
        )
    np.testing.assert_allclose(
        logs["loss"], float(HungarianLoss()(y_true, y_pred)), rtol=1e-4
    )


def test_terms_start_anew_each_epoch(rng):
    model = compiled(tiny_detr())
    images, y_true = batch(rng)
    first = model.evaluate(images, y_true, return_dict=True, verbose=0)
    second = model.evaluate(images, y_true, return_dict=True, verbose=0)
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.compiled
def test_fit_learns_and_xla_compiles_it(rng, jit_compile):
    model = compiled(tiny_detr(), jit_compile=jit_compile)
    images, y_true = batch(rng)
    history = model.fit(images, y_true, batch_size=4, epochs=30, verbose=0)
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns TensorFlow"
)
def test_fit_works_where_keras_sees_an_accelerator(rng, monkeypatch):
    import tensorflow as tf

    class Accelerator:
        device_type = "GPU"
        name = "/physical_device:GPU:0"

    devices = [*tf.config.list_physical_devices(), Accelerator()]
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda *args: devices
    )
    model = compiled(tiny_detr(), jit_compile="auto")
    assert model.jit_compile is True
    monkeypatch.undo()
    images, y_true = batch(rng)
    history = model.fit(images, y_true, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_model_is_saved_reloaded_and_fitted_on(rng, tmp_path):
    images, y_true = batch(rng)
    model = compiled(tiny_detr())
    model.fit(images, y_true, verbose=0)
    model.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    assert type(again) is DetectionModel
    for key, value in model(images).items():
        np.testing.assert_array_equal(
            to_numpy(value), to_numpy(again(images)[key])
        )
    assert again.loss.get_config() == model.loss.get_config()
    expected = model.fit(images, y_true, batch_size=4, verbose=0).history
    resumed = again.fit(images, y_true, batch_size=4, verbose=0).history
    assert resumed.keys() == expected.keys()
    np.testing.assert_allclose(resumed["loss"], expected["loss"], rtol=1e-4)


@pytest.mark.parametrize("num_targets", [0, 1])
@pytest.mark.slow
def test_batches_without_objects_can_be_trained_on(rng, num_targets):
    images, _ = batch(rng)
    y_true = {
        "labels": np.full((4, num_targets), -1, "int32"),
        "boxes": np.zeros((4, num_targets, 4), "float32"),
    }
    model = compiled(tiny_detr())
    logs = model.train_on_batch(images, y_true, return_dict=True)
    assert logs["box_loss"] == logs["giou_loss"] == 0.0
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="concerns tf.data"
)
@pytest.mark.slow
@pytest.mark.compiled
def test_a_pipeline_may_pad_each_batch_to_its_own_length(rng):
    import tensorflow as tf

    def scenes():
        for count in (3, 0, 1, 2, 4, 0):
            yield (
                rng.uniform(0, 255, size=IMAGE_SHAPE),
                {
                    "labels": rng.integers(0, 3, size=count),
                    "boxes": rng.uniform(0.3, 0.6, size=(count, 4)),
                },
            )

    shapes = (IMAGE_SHAPE, {"labels": (None,), "boxes": (None, 4)})
    specification = (
        tf.TensorSpec(IMAGE_SHAPE, tf.float32),
        {
            "labels": tf.TensorSpec((None,), tf.int32),
            "boxes": tf.TensorSpec((None, 4), tf.float32),
        },
    )
    padding = (0.0, {"labels": -1, "boxes": 0.0})
    dataset = tf.data.Dataset.from_generator(
        scenes, output_signature=specification
    ).padded_batch(2, shapes, padding)
    model = compiled(tiny_detr())
    history = model.fit(
        dataset.repeat(), steps_per_epoch=3, verbose=0, shuffle=False
    )
    assert np.isfinite(history.history["loss"]).all()


def test_regularizers_are_added_to_the_loss(rng):
    images, y_true = batch(rng)
    model = compiled(tiny_detr())
    plain = model.evaluate(images, y_true, return_dict=True, verbose=0)
    penalized = tiny_detr()
    penalized.set_weights(model.get_weights())
    head = penalized.get_layer("class_head")
    head.kernel_regularizer = keras.regularizers.L2(0.5)
    head.kernel.regularizer = head.kernel_regularizer
    penalty = 0.5 * (head.kernel.numpy() ** 2).sum()
    logs = compiled(penalized).evaluate(
        images, y_true, return_dict=True, verbose=0
    )
    np.testing.assert_allclose(logs["loss"], plain["loss"] + penalty, rtol=1e-5)


@pytest.mark.slow
def test_mixed_precision_trains(rng):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = compiled(tiny_detr())
    finally:
        keras.config.set_dtype_policy(before)
    images, y_true = batch(rng)
    history = model.fit(images, y_true, epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_loss_without_terms_is_refused(rng):
    model = tiny_detr()
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="must be compiled with a loss that"):
        model.train_on_batch(*batch(rng))


def test_sample_weights_are_refused(rng):
    model = compiled(tiny_detr())
    with pytest.raises(ValueError, match="takes no sample weights"):
        model.train_on_batch(*batch(rng), sample_weight=np.ones(4))


@pytest.mark.parametrize("key", ["boxes", "labels"])
def test_targets_without_a_key_are_refused(rng, key):
    images, y_true = batch(rng)
    del y_true[key]
    with pytest.raises(ValueError, match=r"`y_true` must be a dict with the"):
        compiled(tiny_detr()).train_on_batch(images, y_true)


def test_more_targets_than_queries_are_refused(rng):
    images, _ = batch(rng)
    y_true = {"labels": np.zeros((4, 5), int), "boxes": np.ones((4, 5, 4))}
    with pytest.raises(ValueError, match="5 targets, 4 queries"):
        compiled(tiny_detr()).train_on_batch(images, y_true)
