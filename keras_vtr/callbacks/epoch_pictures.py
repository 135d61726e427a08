"""A picture of what a model finds, every few epochs."""

import importlib.util
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_vtr.class_names import check_class_names
from keras_vtr.optimizers.averaged_weights import averaged_weights


class EpochPictures(keras.callbacks.Callback):
    """Writes `epoch_0004.png`, `draw` of a sub-class, every few epochs.

    An optimizer with `use_ema=True` is drawn with the EMA of the weights.
    """

    def __init__(
        self,
        data,
        folder,
        *,
        every_epochs=1,
        num_images=8,
        class_names=None,
        scale=1,
        tensorboard=False,
    ):
        super().__init__()
        if min(every_epochs, num_images, scale) < 1:
            raise ValueError(
                "`every_epochs`, `num_images` and `scale` must be 1 or more. "
                f"Received: every_epochs={every_epochs}, "
                f"num_images={num_images}, scale={scale}"
            )
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "tensorboard=True needs `pip install tensorboard`."
            )
        if class_names is not None:
            class_names = check_class_names(class_names)
        self.data = data
        self.folder = pathlib.Path(folder)
        self.every_epochs = every_epochs
        self.num_images = num_images
        self.class_names = class_names
        self.scale = scale
        self.tensorboard = tensorboard

    def draw(self, model):
        """Returns a `PIL.Image.Image` of what the model finds."""
        raise NotImplementedError

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every_epochs:
            return
        with averaged_weights(self.model):
            find = getattr(self.model, "detector", lambda: self.model)
            picture = self.draw(find())
        self.folder.mkdir(parents=True, exist_ok=True)
        picture.save(self.folder / f"epoch_{epoch + 1:04d}.png")
        if self.tensorboard:
            writer = tf.summary.create_file_writer(str(self.folder))
            with writer.as_default(step=epoch + 1):
                tf.summary.image("pictures", np.array(picture)[None])
            writer.close()
