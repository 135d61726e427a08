"""From a detector's mask logits to the pixels of each object."""

import numpy as np

from keras_vtr.detection_checks import sides_of
from keras_vtr.mask_ops import resize_masks


def decode_masks(logits, image_shape, padding_mask=None):
    """Enlarges the masks of detections to their images.

    Carion et al. 2020 (DETR), section 4.4: a pixel belongs to an object if its
    logit, bilinear between the centers of the logits, is above 0. Padding is
    cut off.

    Args:
        logits: (B, n, height', width') masks of `decode_detections`.
        image_shape: `(height, width)` or `(height, width, channels)` of the
            masks in pixels, or (B, 2), those of each image.
        padding_mask: Optional (B, H, W) bool, True = real, of the model's
            input: the logits are of the complete input.

    Returns:
        A list of B arrays (n, height, width) bool.

    Raises:
        ValueError: If a shape doesn't fit.

    Example:

    >>> logits = np.array([[[[2.0, -1.0], [2.0, -1.0]]]])
    >>> (masks,) = keras_vtr.detections.decode_masks(logits, (1, 6))
    >>> print(masks.astype(int).tolist())
    [[[1, 1, 1, 0, 0, 0]]]
    """
    logits = np.asarray(logits, "float32")
    if logits.ndim != 4:
        raise ValueError(
            "`logits` must have the shape (B, n, height', width'). Received: "
            f"logits.shape={logits.shape}"
        )
    sizes = sizes_and_steps(len(logits), image_shape, padding_mask)
    return [
        resize_masks(maps, *size) > 0
        for maps, size in zip(logits, sizes, strict=True)
    ]


def encode_masks(masks):
    """The run-length encodings of masks, as COCO and JSON have them.

    Args:
        masks: (n, height, width) bool, or what `keras_vtr.detect` returns.

    Returns:
        A list of n dicts: `"size"`, [height, width], and `"counts"`, a text;
        `pycocotools.mask.decode` takes them.

    Example:

    >>> masks = np.array([[[False, True, True], [False, False, False]]])
    >>> print(keras_vtr.detections.encode_masks(masks))
    [{'size': [2, 3], 'counts': '21100'}]
    """
    from pycocotools import mask as rle_of  # models don't need it

    encoded = (  # one by one: they may not all fit into memory
        rle_of.encode(np.asfortranarray(mask, "uint8")) for mask in masks
    )
    return [{**x, "counts": x["counts"].decode()} for x in encoded]


def padding_of(inputs):
    """The padding mask among a model's inputs, or None."""
    return inputs.get("padding_mask") if isinstance(inputs, dict) else None


def sizes_and_steps(num_images, image_shape, padding_mask=None):
    """Of each image, (height, width), and by which part of the input's sides
    its pixels stand apart.
    """
    sides = np.asarray(sides_of(image_shape, num_images))
    sides = np.broadcast_to(sides, (num_images, 2)).astype(int)
    shares = np.ones((num_images, 2))
    if padding_mask is not None:
        padding_mask = np.asarray(padding_mask)
        shares = [padding_mask.any(axis=i).mean(axis=1) for i in (2, 1)]
        shares = np.stack(shares, axis=1)
    steps = (shares / sides).tolist()
    return list(zip(sides.tolist(), steps, strict=True))
