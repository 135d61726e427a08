import keras
import numpy as np
import pytest
from PIL import Image

from keras_vtr.callbacks import DetectionPictures
from keras_vtr.data import digit_scenes
from keras_vtr.losses import HungarianLoss
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.optimizers import averaged_weights
from tests.tiny_models import IMAGE_SHAPE
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr


def compiled(**options):
    model = tiny_detr(**options)
    model.compile(keras.optimizers.SGD(0.5, use_ema=True), HungarianLoss())
    return model


def test_pictures_are_drawn_every_few_epochs(rng, tmp_path):
    data = [batch(rng)]
    pictures = DetectionPictures(
        data,
        tmp_path / "drawn",
        every_epochs=2,
        num_images=3,
        scale=2,
        tensorboard=True,
    )
    compiled().fit(*data[0], epochs=4, verbose=0, callbacks=[pictures])
    names = sorted(x.name for x in (tmp_path / "drawn").glob("*.png"))
    assert names == ["epoch_0002.png", "epoch_0004.png"]
    height, width = (2 * x for x in IMAGE_SHAPE[:2])
    with Image.open(tmp_path / "drawn" / names[0]) as picture:
        assert picture.size == (3 * width + 8, 2 * height + 4)
    assert list((tmp_path / "drawn").glob("events*"))


def test_padding_is_not_drawn(rng, tmp_path):
    images, y_true = batch(rng, 2)
    mask = np.ones(images.shape[:3], bool)
    mask[1, 8:] = mask[1, :, 6:] = False
    model = compiled(padding="published", image_shape=(None, None, 3))
    inputs = {"images": images, "padding_mask": mask}
    pictures = DetectionPictures([(inputs, y_true)], tmp_path)
    drawn = np.array(pictures.draw(model))
    width = IMAGE_SHAPE[1]
    assert (drawn[8 : IMAGE_SHAPE[0], width + 4 :] == 255).all()
    assert (drawn[:8, width + 10 :] == 255).all()


def test_the_averages_are_evaluated_and_drawn(rng, tmp_path, monkeypatch):
    model = compiled()
    data = [batch(rng)]
    seen, differ = [], []
    monkeypatch.setattr(
        type(model),
        "predict_on_batch",
        lambda self, x: seen.append(self.get_weights()) or self(x),
    )

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            own = self.model.get_weights()
            with averaged_weights(self.model):
                average = self.model.get_weights()
            for b, one, other in zip(average, *seen[-2:], strict=True):
                np.testing.assert_array_equal(one, b)
                np.testing.assert_array_equal(other, b)
            pairs = zip(own, average, strict=True)
            differ.append(any((a != b).any() for a, b in pairs))

    precision = CocoAveragePrecision(IMAGE_SHAPE, data)
    pictures = DetectionPictures(data, tmp_path)
    callbacks = [precision, pictures, Look()]
    history = model.fit(*data[0], epochs=2, verbose=0, callbacks=callbacks)
    assert len(seen) == 4 and len(history.history["val_AP"]) == 2
    assert differ[1], "the averages are the model's own weights"


def test_without_averages_nothing_is_swapped(rng):
    model = tiny_detr()
    before = model.get_weights()
    with averaged_weights(model):
        pass
    model.compile("sgd", HungarianLoss())
    with averaged_weights(model):
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_numbers_are_checked(tmp_path):
    with pytest.raises(ValueError, match="Received: every_epochs=0, num_im"):
        DetectionPictures(digit_scenes("held_out"), tmp_path, every_epochs=0)


def test_an_error_names_the_missing_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        DetectionPictures([], tmp_path, tensorboard=True)
