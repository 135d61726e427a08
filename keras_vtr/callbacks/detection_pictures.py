import keras
import numpy as np
from keras.ops import convert_to_numpy

from keras_vtr.callbacks.epoch_pictures import EpochPictures
from keras_vtr.detections import decode_detections
from keras_vtr.detections import decode_masks
from keras_vtr.detections.masks import padding_of
from keras_vtr.targets import check_inputs
from keras_vtr.targets import check_targets
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid


class DetectionPictures(EpochPictures):
    """Draws a detector's boxes and masks below the true ones, every few epochs.

    Writes `epoch_0004.png`, with one column per image. An optimizer with
    `use_ema=True` detects with the EMA of the weights.

    Args:
        data: Batches of `(inputs, y_true)`; the first images of the first
            batch are drawn.
        folder: Folder of the pictures; created if it doesn't exist.
        every_epochs: Number of epochs between two pictures.
        num_images: Number of images in a picture.
        class_names: Optional names, by label, in a list or a dict.
        score_threshold: Detections with a lower score are not drawn.
        scale: Integer factor by which each image is enlarged.
        tensorboard: Whether to write TensorBoard's event file, too
            (`pip install tensorboard`).

    Raises:
        ValueError: If a number is below 1 or `class_names` are not strings;
            when drawing, if targets or padding masks are not as documented.
        ImportError: If `tensorboard=True` and TensorBoard is not installed.

    Example:

    >>> pictures = keras_vtr.callbacks.DetectionPictures(
    ...     keras_vtr.data.digit_scenes("held_out", num_scenes=16), "pictures"
    ... )
    """

    def __init__(self, data, folder, *, score_threshold=0.5, **options):
        super().__init__(data, folder, **options)
        self.score_threshold = score_threshold

    def draw(self, model):
        """Returns the picture (`PIL.Image.Image`) of a model's detections."""
        inputs, y_true = next(iter(self.data))
        check_targets(y_true)
        outputs = model.predict_on_batch(inputs)
        images, shapes = _split_inputs(inputs)
        detections = decode_detections(outputs, shapes)
        found = {key: convert_to_numpy(x) for key, x in detections.items()}
        if "masks" in found:
            padding_mask = padding_of(inputs)
            found["masks"] = decode_masks(found["masks"], shapes, padding_mask)
        true = {
            key: convert_to_numpy(y_true[key])
            for key in ("boxes", "labels", "masks")
            if key in y_true
        }
        rows = ([], [])
        for i in range(min(self.num_images, len(images))):
            height, width = shapes[i]
            image = images[i, :height, :width]
            here = {key: x[i] for key, x in true.items()}
            boxes = keras.utils.bounding_boxes.convert_format(
                here["boxes"], "rel_center_xywh", "xyxy", height, width
            )
            here["boxes"] = convert_to_numpy(boxes)
            if "masks" in here:
                here["masks"] = here["masks"][:, :height, :width]
            for row, drawn in zip(
                rows, (here, {k: x[i] for k, x in found.items()}), strict=True
            ):
                row.append(
                    draw_boxes(
                        image,
                        **drawn,
                        class_names=self.class_names,
                        score_threshold=self.score_threshold,
                        scale=self.scale,
                    )
                )
        return draw_grid([*rows[0], *rows[1]], len(rows[0]))


def _split_inputs(inputs):
    """Images, and the (height, width) of each without its padding."""
    if not isinstance(inputs, dict):
        images = convert_to_numpy(inputs)
        return images, np.full((len(images), 2), images.shape[1:3])
    check_inputs(inputs)
    padding_mask = convert_to_numpy(inputs["padding_mask"])  # True = real
    shapes = [padding_mask.any(axis=x).sum(axis=1) for x in (2, 1)]
    return convert_to_numpy(inputs["images"]), np.stack(shapes, axis=1)
