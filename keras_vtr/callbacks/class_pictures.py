import keras
from keras.ops import convert_to_numpy

from keras_vtr.callbacks.epoch_pictures import EpochPictures
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid


class ClassPictures(EpochPictures):
    """Draws images with their classes and what a classifier takes them for.

    Writes `epoch_0004.png`, with one column per image: above it its class,
    below it the class with the highest probability. An optimizer with
    `use_ema=True` classifies with the EMA of the weights.

    Args:
        data: Batches of `(images, labels)`, as of
            `keras_vtr.data.classification_dataset`; the first images of the
            first batch are drawn.
        folder: Folder of the pictures; created if it doesn't exist.
        every_epochs: Number of epochs between two pictures.
        num_images: Number of images in a picture.
        class_names: Optional names, by label, in a list or a dict.
        scale: Integer factor by which each image is enlarged.
        tensorboard: Whether to write TensorBoard's event file, too
            (`pip install tensorboard`).

    Raises:
        ValueError: If a number is below 1 or `class_names` are not strings.
        ImportError: If `tensorboard=True` and TensorBoard is not installed.

    Example:

    >>> images, labels = np.zeros((2, 32, 32, 3)), np.array([0, 1])
    >>> pictures = keras_vtr.callbacks.ClassPictures(
    ...     [(images, labels)], "pictures", class_names=["cat", "dog"]
    ... )
    >>> vit = keras_vtr.models.build_vit(
    ...     2, size="tiny", image_shape=(32, 32, 3), num_layers=1
    ... )
    >>> print(pictures.draw(vit).size)
    (68, 68)
    """

    def draw(self, model):
        """Returns the picture (`PIL.Image.Image`) of a model's classes."""
        images, labels = next(iter(self.data))
        images = convert_to_numpy(images)[: self.num_images]
        labels = convert_to_numpy(labels)[: self.num_images].astype("int32")
        logits = model.predict_on_batch(images)
        scores = convert_to_numpy(keras.ops.softmax(logits))
        found = scores.argmax(-1).astype("int32")
        rows = (labels, [None] * len(labels)), (found, scores.max(-1))
        whole = [[0, 0, images.shape[2], images.shape[1]]]
        pictures = [
            draw_boxes(
                image,
                whole,
                label[None],
                None if score is None else score[None],
                class_names=self.class_names,
                score_threshold=0.0,
                scale=self.scale,
            )
            for row in rows
            for image, label, score in zip(images, *row, strict=True)
        ]
        return draw_grid(pictures, len(images))
