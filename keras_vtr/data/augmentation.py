"""DETR's augmentation of images with their boxes and masks."""

import tensorflow as tf

from keras_vtr.data.formats.boxes import LEAST_SHARE

# Carion et al. 2020 (DETR), section 4, "Technical details", and the authors'
# `make_coco_transforms`, all in pixels.
SHORT_SIDES = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
LONGEST_SIDE = 1333
CROP_SHORT_SIDES = (400, 500, 600)
CROP_RANGE = (384, 600)


def resize(image, targets, short_side, longest_side=LONGEST_SIDE):
    """Resizes to a short side, or less if the long side would be too long.

    Args:
        image: (height, width, C).
        targets: Dict of objects, as in `augment`.
        short_side: Of the result, in pixels.
        longest_side: The most that the other side may have.

    Returns:
        The image in float32, antialiased bilinearly, and its targets; a pixel
        of a mask is the nearest one.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    sides = tf.cast(tf.stack([height, width]), "float32")
    scale = tf.minimum(
        tf.cast(short_side, "float32") / tf.reduce_min(sides),
        tf.cast(longest_side, "float32") / tf.reduce_max(sides),
    )
    shape = tf.maximum(tf.cast(tf.round(sides * scale), "int32"), 1)
    return stretch(image, targets, shape)


def stretch(image, targets, shape):
    """Resizes to a height and a width, whatever the shape was.

    Args:
        image: (height, width, C).
        targets: Dict of objects, as in `augment`.
        shape: (2,) int, height and width of the result.

    Returns:
        As of `resize`.
    """
    sides = tf.cast(tf.shape(image)[:2], "float32")
    image = tf.image.resize(image, shape, antialias=True)
    ratio = (tf.cast(shape, "float32") / sides)[::-1]
    moved = dict(targets)
    if "boxes" in targets:
        moved["boxes"] = targets["boxes"] * tf.concat([ratio, ratio], axis=0)
    if "masks" in targets:
        moved["masks"] = _resize_masks(targets["masks"], shape)
    return image, moved


def _resize_masks(masks, shape):
    """(n, height, width) -> (n, *shape), by the nearest centers."""
    for axis, after in ((1, shape[0]), (2, shape[1])):
        before = tf.shape(masks)[axis]
        center = (2 * tf.range(after) + 1) * before  # in halves of new pixels
        masks = tf.gather(masks, center // (2 * after), axis=axis)
    return masks


def crop(image, targets, corner, shape):
    """Crops an image; objects of which nothing is left are dropped.

    Args:
        image: (height, width, C).
        targets: Dict of objects, as in `augment`; boxes are clipped.
        corner: (2,) int, y and x of the crop's upper left corner.
        shape: (2,) int, its height and width.
    """
    rows, columns = (
        slice(first, first + side)
        for first, side in zip(
            tf.unstack(corner), tf.unstack(shape), strict=True
        )
    )
    offset = tf.cast(tf.reverse(corner, [0]), "float32")
    limit = tf.cast(tf.reverse(shape, [0]), "float32")
    boxes = targets["boxes"] - tf.concat([offset, offset], axis=0)
    boxes = tf.clip_by_value(boxes, 0.0, tf.concat([limit, limit], axis=0))
    sides = boxes[:, 2:] - boxes[:, :2]
    is_kept = tf.reduce_all(sides > LEAST_SHARE * limit, axis=1)
    moved = {**targets, "boxes": boxes}
    if "masks" in targets:
        moved["masks"] = targets["masks"][:, rows, columns]
        is_kept &= tf.reduce_any(moved["masks"], axis=(1, 2))
    return image[rows, columns], {key: x[is_kept] for key, x in moved.items()}


def flip(image, targets):
    """Flips image, boxes and masks horizontally."""
    width = tf.cast(tf.shape(image)[1], "float32")
    x0, y0, x1, y1 = tf.unstack(targets["boxes"], axis=1)
    boxes = tf.stack([width - x1, y0, width - x0, y1], axis=1)
    moved = {**targets, "boxes": boxes}
    if "masks" in targets:
        moved["masks"] = tf.reverse(targets["masks"], axis=[2])
    return tf.reverse(image, axis=[1]), moved


def augment(
    image,
    targets,
    seed,
    *,
    short_sides=SHORT_SIDES,
    longest_side=LONGEST_SIDE,
    crop_short_sides=CROP_SHORT_SIDES,
    crop_range=CROP_RANGE,
    flips=True,
    image_size=None,
):
    """Random flip, random crop of half of the images, random scale.

    Carion et al. 2020 (DETR), section 4. Keras's layers (3.15.1) don't fit:
    `RandomFlip` and `Resizing` transform boxes equally, but draw from a state
    that a run would have to save, and have one size; `RandomCrop` shifts x by
    the offset of y, and y by that of x (`tests/data/test_keras_layers.py`).

    Args:
        image: (height, width, C).
        targets: Dict with `"boxes"` (n, 4), absolute `xyxy` pixels, and
            `"labels"` (n,); optionally `"masks"` (n, height, width) bool.
        seed: (2,) integers; equal seeds give equal random numbers.
        short_sides: Short sides to choose from.
        longest_side: Limit of the long side.
        crop_short_sides: Short sides to choose from before a crop.
        crop_range: Smallest and largest side of a crop, in pixels.
        flips: Whether half of the images are flipped.
        image_size: Optional (2,) int, height and width that the image is
            stretched to in the end, instead of its random scale.

    Returns:
        Image (height', width', C) float32, and its targets; a crop may drop
        some or all of them.
    """
    seeds = tf.unstack(tf.random.split(tf.cast(seed, "int32"), 6))

    def coin(i):
        return tf.random.stateless_uniform((), seeds[i]) < 0.5

    def choice(i, values):
        values = tf.constant(values, "int32")
        size = tf.shape(values)[0]
        i = tf.random.stateless_uniform((), seeds[i], 0, size, "int32")
        return values[i]

    image = tf.cast(image, "float32")
    if flips:
        image, targets = tf.cond(
            coin(0), lambda: flip(image, targets), lambda: (image, targets)
        )

    def random_crop():
        small, moved = resize(
            image, targets, choice(2, crop_short_sides), longest_side
        )
        sides = tf.shape(small)[:2]
        least, most = (tf.minimum(sides, x) for x in crop_range)
        shape = _random_integers(seeds[3], least, most + 1)
        corner = _random_integers(
            seeds[4], tf.zeros_like(sides), sides - shape + 1
        )
        return crop(small, moved, corner, shape)

    image, targets = tf.cond(coin(1), random_crop, lambda: (image, targets))
    if image_size is not None:
        return stretch(image, targets, image_size)
    return resize(image, targets, choice(5, short_sides), longest_side)


def _random_integers(seed, least, end):
    """(2,) integers, each at least `least` and below `end`."""
    share = tf.random.stateless_uniform((2,), seed)
    span = tf.cast(end - least, "float32")
    return tf.minimum(least + tf.cast(share * span, "int32"), end - 1)
