import importlib.util
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_vtr.class_names import check_class_names
from keras_vtr.detections import decode_detections
from keras_vtr.optimizers.averaged_weights import averaged_weights
from keras_vtr.targets import check_inputs
from keras_vtr.targets import check_targets
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid


class DetectionPictures(keras.callbacks.Callback):
    """Draws what a detector finds, every few epochs, beside what is there.

    Writes `epoch_0004.png`: for each image the true boxes above, what is
    detected below. With averages of the weights (`use_ema=True`) they are what
    detects.

    Args:
        data: Batches of `(inputs, y_true)`; the first images of the first one
            are drawn.
        folder: Where the pictures go; made if it isn't there.
        every_epochs: How often.
        num_images: How many images a picture has.
        class_names: Optional names, by label, in a list or a dict.
        score_threshold: Detections with a lower score are not drawn.
        scale: Whole number by which each image is enlarged.
        tensorboard: Whether TensorBoard's file of images is written there, too
            (`pip install tensorboard`).

    Raises:
        ValueError: If a number is below 1 or `class_names` are no strings;
            while it draws, if targets or padding masks are not as documented.
        ImportError: If TensorBoard is wanted and not installed.

    Example:

    >>> pictures = keras_vtr.callbacks.DetectionPictures(
    ...     keras_vtr.data.digit_scenes("held_out", num_scenes=16), "pictures"
    ... )
    """

    def __init__(
        self,
        data,
        folder,
        *,
        every_epochs=1,
        num_images=8,
        class_names=None,
        score_threshold=0.5,
        scale=1,
        tensorboard=False,
    ):
        super().__init__()
        if min(every_epochs, num_images, scale) < 1:
            raise ValueError(
                "`every_epochs`, `num_images` and `scale` must be 1 or more. "
                f"Received: {every_epochs}, {num_images}, {scale}"
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
        self.score_threshold = score_threshold
        self.scale = scale
        self.tensorboard = tensorboard

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every_epochs:
            return
        with averaged_weights(self.model):
            picture = self.draw(self.model)
        self.folder.mkdir(parents=True, exist_ok=True)
        picture.save(self.folder / f"epoch_{epoch + 1:04d}.png")
        if self.tensorboard:
            writer = tf.summary.create_file_writer(str(self.folder))
            with writer.as_default(step=epoch + 1):
                tf.summary.image("detections", np.array(picture)[None])
            writer.close()

    def draw(self, model):
        """The picture, a `PIL.Image.Image`, of what `model` finds now."""
        inputs, y_true = next(iter(self.data))
        check_targets(y_true)
        outputs = model.predict_on_batch(inputs)
        images, shapes = _real(inputs)
        detections = decode_detections(outputs, shapes)
        found = [_numpy(detections[k]) for k in ("boxes", "labels", "scores")]
        boxes, labels = _numpy(y_true["boxes"]), _numpy(y_true["labels"])
        rows = ([], [])
        for i in range(min(self.num_images, len(images))):
            height, width = shapes[i]
            image = images[i, :height, :width]
            true = keras.utils.bounding_boxes.convert_format(
                boxes[i], "rel_center_xywh", "xyxy", height, width
            )
            true = (_numpy(true), labels[i])
            both = (true, [x[i] for x in found])
            for row, drawn in zip(rows, both, strict=True):
                row.append(
                    draw_boxes(
                        image,
                        *drawn,
                        class_names=self.class_names,
                        score_threshold=self.score_threshold,
                        scale=self.scale,
                    )
                )
        return draw_grid([*rows[0], *rows[1]], len(rows[0]))


def _real(inputs):
    """Images, and the (height, width) of each that is no padding."""
    if not isinstance(inputs, dict):
        images = _numpy(inputs)
        return images, np.full((len(images), 2), images.shape[1:3])
    check_inputs(inputs)
    mask = _numpy(inputs["padding_mask"])
    shapes = [mask.any(axis=2).sum(axis=1), mask.any(axis=1).sum(axis=1)]
    return _numpy(inputs["images"]), np.stack(shapes, axis=1)


def _numpy(x):
    return keras.ops.convert_to_numpy(x)
