"""Attention maps of a Transformer encoder, drawn over the picture."""

import numpy as np
from PIL import Image

from keras_vtr.visualization.attention_scores import ENCODERS
from keras_vtr.visualization.attention_scores import scores_of
from keras_vtr.visualization.pictures import to_picture

# From transparent to opaque: dark blue, red, yellow.
HEAT = ((0.0, (20, 20, 90)), (0.5, (220, 40, 40)), (1.0, (255, 235, 80)))


def attention_maps(model, images):
    """Attention of the class token to the patches, for each layer and head.

    Dosovitskiy et al. 2020 (ViT), section 4.5 and figure 6; the maps of
    Caron et al. 2021 (DINO), figure 1, are those of the last layer.

    Args:
        model: From `keras_vtr.models.build_vit`, or any functional model with
            a `TransformerEncoder` over the pixels of a feature map whose layer
            is named "patches" or "input_projection" (`keras_vtr.stages`).
        images: (B, height, width, C), as the model takes them.

    Returns:
        (B, L, H, rows, columns) float32 array: attention weights of the first
        token on each patch; the remainder to 1 is on tokens that are no
        patches. Without class token, the mean over all patches' rows.

    Raises:
        ValueError: If the model has not exactly one `TransformerEncoder`.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     3, size="tiny", num_layers=2, image_shape=(32, 48, 3)
    ... )
    >>> images = np.zeros((1, 32, 48, 3))
    >>> print(keras_vtr.visualization.attention_maps(vit, images).shape)
    (1, 2, 3, 2, 3)
    """
    scores, grid = scores_of(model, images, ENCODERS)
    return _of_patches(scores, grid)


def attention_rollout(model, images):
    """Attention rollout: how much of each patch reaches the class token.

    Abnar and Zuidema 2020, section 3, "attention rollout", equation 1: heads
    are averaged, the residual counts as half of what a token attends to
    (itself), and the layers' matrices are multiplied.

    Args:
        model: As for `attention_maps`.
        images: (B, height, width, C), as the model takes them.

    Returns:
        (B, rows, columns) float32 array: the share of each patch in the first
        token, or, without class token, in the mean of all.

    Raises:
        ValueError: If the model has not exactly one `TransformerEncoder`.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     3, size="tiny", num_layers=2, image_shape=(32, 48, 3)
    ... )
    >>> images = np.zeros((1, 32, 48, 3))
    >>> print(keras_vtr.visualization.attention_rollout(vit, images).shape)
    (1, 2, 3)
    """
    scores, grid = scores_of(model, images, ENCODERS)
    return _of_patches(rollout(scores), grid)


def rollout(scores):
    """(B, L, H, N, N) attention weights to (B, N, N), rows summing to 1."""
    mixed = 0.5 * scores.mean(axis=2) + 0.5 * np.eye(scores.shape[-1])
    total = mixed[:, 0]
    for i in range(1, mixed.shape[1]):
        total = mixed[:, i] @ total
    return total.astype("float32")


def draw_attention(image, attention, opacity=0.6):
    """Lays one map over its image: the brighter, the more attention.

    Args:
        image: (height, width, C) pixels in [0, 255], or a `PIL.Image.Image`.
        attention: (rows, columns), of `attention_maps` or
            `attention_rollout`. Its largest value gets the brightest color.
        opacity: Of the map, from 0 to 1.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: If a shape doesn't fit.

    Example:

    >>> picture = keras_vtr.visualization.draw_attention(
    ...     np.zeros((32, 48, 3)), np.ones((2, 3))
    ... )
    >>> print(picture.size)
    (48, 32)
    """
    picture = to_picture(image)
    attention = np.asarray(attention, "float32")
    if attention.ndim != 2:
        raise ValueError(
            "`attention` must have the shape (rows, columns). Received: "
            f"attention.shape={attention.shape}"
        )
    heat = Image.fromarray(attention / max(attention.max(), 1e-12)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    levels, colors = zip(*HEAT, strict=True)
    colors = np.array(colors, "float32")
    heat = np.asarray(heat)
    heat = np.stack(
        [np.interp(heat, levels, colors[:, i]) for i in range(3)], axis=-1
    )
    heat = Image.fromarray(np.round(heat).astype("uint8"))
    return Image.blend(picture, heat, opacity)


def _of_patches(scores, grid):
    """(..., N, N) to (..., rows, columns): the weights on the patches."""
    num_leading = scores.shape[-1] - grid[0] * grid[1]
    queried = scores[..., 0, :] if num_leading else scores.mean(axis=-2)
    patches = queried[..., num_leading:]
    return patches.reshape(*patches.shape[:-1], *grid)
