"""Attention maps of DETR's encoder and of its object queries."""

import keras
import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.classifiers import classifier_of
from keras_vtr.visualization.attention import draw_attention
from keras_vtr.visualization.attention_scores import DECODERS
from keras_vtr.visualization.attention_scores import ENCODERS
from keras_vtr.visualization.attention_scores import scores_of
from keras_vtr.visualization.boxes import draw_boxes
from keras_vtr.visualization.boxes import draw_grid


def pixel_attention(model, images, points):
    """Self-attention of the encoder from chosen pixels of an image.

    Carion et al. 2020 (DETR), section 4.2 and figure 3: the encoder already
    separates objects.

    Args:
        model: From `keras_vtr.models.build_detr`.
        images: As the model takes them, (B, height, width, C) or a dict.
        points: (n, 2), x and y of the pixels, relative to the width and height
            of `images`, padding included, in [0, 1).

    Returns:
        (B, L, H, n, rows, columns) float32 array of attention weights.

    Raises:
        ValueError: If the model has not exactly one encoder, or a point is
            not in [0, 1).
    """
    points = np.asarray(points, "float64")
    if (
        points.ndim != 2
        or points.shape[1] != 2
        or not ((points >= 0) & (points < 1)).all()
    ):
        raise ValueError(
            "`points` must have the shape (n, 2), with x and y in [0, 1). "
            f"Received: points={points.tolist()}"
        )
    scores, (rows, columns) = scores_of(model, images, ENCODERS)
    x, y = np.floor(points.T * [[columns], [rows]]).astype(int)
    maps = scores[..., y * columns + x, :]
    return maps.reshape(*maps.shape[:-1], rows, columns)


def query_attention(model, images):
    """Cross-attention of each object query: mostly to its object's ends.

    Carion et al. 2020 (DETR), section 4.2 and figure 6.

    Args:
        model: From `keras_vtr.models.build_detr`.
        images: As the model takes them, (B, height, width, C) or a dict.

    Returns:
        (B, L, H, Q, rows, columns) float32 array of the attention weights of
        each of the L decoder layers.

    Raises:
        ValueError: If the model has not exactly one decoder.
    """
    scores, grid = scores_of(model, images, DECODERS)
    return scores.reshape(*scores.shape[:-1], *grid)


def draw_query_attention(
    model, image, *, class_names=None, score_threshold=0.7, scale=1
):
    """Draws each detection's box over its query's attention map.

    Carion et al. 2020 (DETR), figure 6: the mean over the heads of the last
    decoder layer.

    Args:
        model: From `keras_vtr.models.build_detr`.
        image: (height, width, C) pixels in [0, 255].
        class_names: Optional names, by label. Default: the model's own, or the
            label itself.
        score_threshold: Detections with a lower score are not drawn.
        scale: Whole number by which pictures are enlarged.

    Returns:
        A `PIL.Image.Image`, the best detection first; the image alone if
        there is none.

    Raises:
        ValueError: If the model has not exactly one decoder.

    Example:

    >>> shape = (32, 48, 3)
    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3, size="small", image_shape=shape
    ... )
    >>> picture = keras_vtr.visualization.draw_query_attention(
    ...     detr, np.zeros(shape), score_threshold=1.0, scale=2
    ... )
    >>> print(picture.size)
    (96, 64)
    """
    image = np.asarray(image, "float32")
    if class_names is None:
        class_names = getattr(model, "class_names", None)
    else:
        class_names = check_class_names(class_names)
    inputs = image[None]
    if isinstance(model.input, dict):
        real = np.ones((1, *image.shape[:2]), bool)
        inputs = {"images": inputs, "padding_mask": real}
    outputs = model(inputs, training=False)
    classifier = classifier_of(outputs)
    probabilities = keras.ops.convert_to_numpy(
        classifier.probabilities(outputs[classifier.key][0])
    )
    centers = keras.ops.convert_to_numpy(outputs["boxes"][0])
    boxes = np.concatenate(
        [
            centers[:, :2] - centers[:, 2:] / 2,
            centers[:, :2] + centers[:, 2:] / 2,
        ],
        axis=1,
    ) * np.tile(image.shape[1::-1], 2)
    scores = probabilities.max(axis=1)
    chosen = [i for i in np.argsort(-scores) if scores[i] >= score_threshold]
    if not chosen:
        return draw_boxes(image, np.zeros((0, 4)), [], scale=scale)
    maps = query_attention(model, inputs)[0, -1].mean(axis=0)
    pictures = [
        draw_boxes(
            draw_attention(image, maps[i]),
            boxes[i : i + 1],
            probabilities[i : i + 1].argmax(axis=1),
            scores[i : i + 1],
            class_names=class_names,
            score_threshold=score_threshold,
            scale=scale,
        )
        for i in chosen
    ]
    return draw_grid(pictures)
