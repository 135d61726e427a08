"""Where the digits of a scene go, and how large they are."""

import tensorflow as tf

ASPECT_RANGE = (0.75, 1.33)  # stretch of the width
MAX_COVERED = 0.5  # of a box's area, by all others together


def random_boxes(ink, layout, seeds):
    """Random sizes and positions within the scene.

    Args:
        ink: (B, M, 4), the digits' `xyxy` boxes in their 8 x 8 pixels.
        layout: A `SceneLayout`.
        seeds: (2, 2) integers.

    Returns:
        (B, M, tries, 4) `xyxy` boxes in pixels.
    """
    shape = tuple(ink.shape[:2])
    low, high = layout.digit_heights
    draws = tf.random.stateless_uniform((2, *shape), seeds[0])
    height = low + draws[0] * (high - low)
    stretch = ASPECT_RANGE[0] + draws[1] * (ASPECT_RANGE[1] - ASPECT_RANGE[0])
    written = ink[..., 2:] - ink[..., :2]
    width = height * stretch * written[..., 0] / written[..., 1]
    # No narrower than its own pixels: small digits can be read.
    width = tf.clip_by_value(width, written[..., 0], high)
    size = tf.stack([width, height], axis=-1)
    free = tf.random.stateless_uniform((*shape, layout.num_tries, 2), seeds[1])
    corner = free * (layout.image_size - size)[:, :, None]
    return tf.concat([corner, corner + size[:, :, None]], axis=-1)


def place(tries, is_wanted, max_overlap):
    """Takes, one digit after the other, the position of least overlap.

    A digit is left out if even there it overlaps an earlier one by more than
    `max_overlap`, or if in the end all others together cover more than
    `MAX_COVERED` of its box: a target can be seen.

    Args:
        tries: (B, M, tries, 4) `xyxy` boxes.
        is_wanted: (B, M) bool.
        max_overlap: Of two boxes, as a share of the smaller one.

    Returns:
        (B, M, 4) boxes, all 0 where a digit is left out.
    """
    num_digits = tries.shape[1]

    def place_one(m, boxes):
        here = tries[:, m]  # (B, tries, 4)
        overlap = _overlap(here[:, :, None], boxes[:, None])
        overlap = tf.reduce_max(overlap, axis=-1)
        best = tf.argmin(overlap, axis=1)
        box = tf.gather(here, best, batch_dims=1)
        is_free = tf.reduce_min(overlap, axis=1) <= max_overlap
        is_placed = (is_free & is_wanted[:, m])[:, None]
        is_placed &= tf.range(num_digits) == m  # (B, M)
        return m + 1, tf.where(is_placed[..., None], box[:, None], boxes)

    _, boxes = tf.while_loop(
        lambda m, boxes: m < num_digits,
        place_one,
        (0, tf.zeros((*is_wanted.shape, 4))),
    )
    shared = _shared_area(boxes[:, :, None], boxes[:, None])  # (B, M, M)
    area = _area(boxes)
    covered = tf.reduce_sum(shared, axis=-1) - area
    return tf.where((covered <= MAX_COVERED * area)[..., None], boxes, 0.0)


def _overlap(boxes1, boxes2):
    """Intersection over the smaller area, 0 for boxes without an area."""
    smaller = tf.minimum(_area(boxes1), _area(boxes2))
    return tf.math.divide_no_nan(_shared_area(boxes1, boxes2), smaller)


def _shared_area(boxes1, boxes2):
    upper_left = tf.maximum(boxes1[..., :2], boxes2[..., :2])
    lower_right = tf.minimum(boxes1[..., 2:], boxes2[..., 2:])
    return tf.reduce_prod(tf.maximum(lower_right - upper_left, 0.0), axis=-1)


def _area(boxes):
    return tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
