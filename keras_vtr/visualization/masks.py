"""Masks of objects, and segments of whole images, drawn on images."""

import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.visualization.boxes import draw_boxes
from keras_vtr.visualization.boxes import write_name
from keras_vtr.visualization.pictures import enlarge
from keras_vtr.visualization.pictures import to_picture
from keras_vtr.visualization.tints import COLORS
from keras_vtr.visualization.tints import tint_masks


def draw_masks(
    image,
    masks,
    labels,
    scores=None,
    *,
    boxes=None,
    class_names=None,
    score_threshold=0.5,
    scale=1,
):
    """Draws the masks of one image, with their boxes, labels and scores.

    Args:
        image: (height, width, C) array of pixels in [0, 255], C is 1, 3 or 4;
            or a `PIL.Image.Image`.
        masks: (n, height, width) bool, such as `keras_vtr.detect` returns.
        labels: (n,) integers; -1 marks padding and is not drawn.
        scores: Optional (n,) in [0, 1].
        boxes: Optional (n, 4) absolute `xyxy` pixels. Default: the smallest
            that hold the masks.
        class_names: As in `draw_boxes`, as are those below.
        score_threshold: Masks with a lower score are not drawn.
        scale: Integer factor by which the picture is enlarged first.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: If a shape or type doesn't fit, a label, score or box is
            out of its range, or `class_names` are no strings.

    Example:

    >>> masks = np.zeros((1, 40, 60), bool)
    >>> masks[0, 5:30, 5:30] = True
    >>> picture = keras_vtr.visualization.draw_masks(
    ...     np.zeros((40, 60, 3)), masks, [1], scale=4
    ... )
    >>> print(picture.size)
    (240, 160)
    """
    boxes = boxes_of(np.asarray(masks, bool)) if boxes is None else boxes
    return draw_boxes(
        image,
        boxes,
        labels,
        scores,
        masks=masks,
        class_names=class_names,
        score_threshold=score_threshold,
        scale=scale,
    )


def draw_segments(image, segments, *, class_names=None, scale=1):
    """Draws the segments of one image, each in a color of its own.

    Args:
        image: As in `draw_masks`.
        segments: A dict of `keras_vtr.detections.decode_segments`, of this
            image's size.
        class_names: As in `draw_boxes`.
        scale: Integer factor by which the picture is enlarged first.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: If the segments are of another size, or `class_names` are
            no strings.

    Example:

    >>> segments = {"segments": np.zeros((40, 60), int), "labels": [2]}
    >>> picture = keras_vtr.visualization.draw_segments(
    ...     np.zeros((40, 60, 3)), segments, class_names=["a", "b", "sky"]
    ... )
    >>> print(picture.size)
    (60, 40)
    """
    picture = to_picture(image)
    numbers, labels = np.asarray(segments["segments"]), segments["labels"]
    if numbers.shape != (picture.height, picture.width):
        raise ValueError(
            "`segments` must be of the image's size. Received: segments of "
            f"{numbers.shape}, an image of {(picture.height, picture.width)}"
        )
    if class_names is not None:
        class_names = check_class_names(class_names)
    every = np.arange(len(labels))
    masks = numbers == every[:, None, None]
    picture = enlarge(tint_masks(picture, masks, every, every >= 0), scale)
    for i, label in enumerate(labels):
        if masks[i].any():
            name = (class_names and class_names[label]) or str(label)
            x, y = _center(masks[i]) * scale
            write_name(picture, x, y, name, COLORS[i % len(COLORS)])
    return picture


def boxes_of(masks):
    """(n, height, width) bool -> (n, 4), the `xyxy` extents; 0 if empty."""
    boxes = np.zeros((len(masks), 4), "float32")
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            box[:2] = columns.min(), rows.min()
            box[2:] = columns.max() + 1, rows.max() + 1
    return boxes


def _center(mask):
    """The pixel (x, y) of a mask that is nearest to its middle."""
    rows, columns = np.nonzero(mask)
    distance = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = distance.argmin()
    return np.array([columns[nearest], rows[nearest]])
