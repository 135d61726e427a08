"""Boxes of annotations, clipped to their images."""

from keras_vtr.data.formats import values

# By rounding, a box or an outline may exceed its image by so many pixels.
TOLERANCE = 1.0
# The smallest sides of a box, relative to its image's. The precision of float32
# is 6e-8, and flips, crops and scaling lose some of it.
LEAST_SHARE = 1e-6


def clip_box(box, height, width, may_exceed=False):
    """Reads an `xywh` box in pixels.

    Args:
        box: Four numbers.
        height: Of its image.
        width: Likewise.
        may_exceed: Whether more than the tolerance may be clipped.

    Returns:
        The `xyxy` box within the image, and whether more was clipped.

    Raises:
        ValueError: Whose text says what is wrong with the box.
    """
    try:
        x, y, box_width, box_height = values.four_numbers(box)
    except ValueError:
        raise ValueError("is not a box") from None
    if box_width <= 0 or box_height <= 0:
        raise ValueError("has no area")
    corners = (x, y, x + box_width, y + box_height)
    limits = (width, height, width, height)
    inside = tuple(
        min(max(side, 0.0), float(limit))
        for side, limit in zip(corners, limits, strict=True)
    )
    excess = max(abs(a - b) for a, b in zip(corners, inside, strict=True))
    if excess > TOLERANCE and not may_exceed:
        raise ValueError("is not within its image")
    sides = (inside[2] - inside[0]) / width, (inside[3] - inside[1]) / height
    if min(sides) <= LEAST_SHARE:
        raise ValueError("has no area")
    return inside, excess > TOLERANCE
