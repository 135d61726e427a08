"""Boxes, labels and scores drawn on images."""

import keras
import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from keras_vtr.class_names import check_class_names
from keras_vtr.detection_checks import check_detections
from keras_vtr.targets import check_targets
from keras_vtr.visualization.pictures import enlarge
from keras_vtr.visualization.pictures import to_picture
from keras_vtr.visualization.tints import COLORS
from keras_vtr.visualization.tints import tint_masks


def draw_boxes(
    image,
    boxes,
    labels,
    scores=None,
    *,
    masks=None,
    class_names=None,
    score_threshold=0.5,
    scale=1,
):
    """Draws the boxes and masks of one image, with their labels and scores.

    Args:
        image: (height, width, C) array of pixels in [0, 255], C is 1, 3 or 4;
            or a `PIL.Image.Image`.
        boxes: (n, 4) absolute `xyxy` pixels.
        labels: (n,) integers; -1 marks padding and is not drawn.
        scores: Optional (n,) in [0, 1]; drawn after the name.
        masks: Optional (n, height, width) bool, such as `keras_vtr.detect`
            returns.
        class_names: Optional names, by label, in a list or a dict. Default, and
            where a name is None: the label itself.
        score_threshold: Boxes with a lower score are not drawn.
        scale: Integer factor by which the picture is enlarged first, so that
            boxes and text can be read on small images.

    Returns:
        A `PIL.Image.Image`; `.save("picture.png")` writes it.

    Raises:
        ValueError: If a shape or type doesn't fit, a label, score or box is
            out of its range (`keras_vtr.metrics.check_detections`), or
            `class_names` are no strings.

    Example:

    >>> picture = keras_vtr.visualization.draw_boxes(
    ...     np.zeros((40, 60, 3)), [[5, 5, 30, 30]], [1], [0.9], scale=4
    ... )
    >>> print(picture.size)
    (240, 160)
    """
    picture = to_picture(image)
    boxes, labels = _to_numpy(boxes), _to_numpy(labels)
    has_scores = scores is not None
    scores = _to_numpy(scores) if has_scores else np.ones(len(labels))
    if boxes.shape != (len(labels), 4) or scores.shape != labels.shape:
        raise ValueError(
            "`boxes` must have the shape (n, 4), `labels` and `scores` (n,). "
            f"Received: boxes.shape={boxes.shape}, labels.shape="
            f"{labels.shape}, scores.shape={scores.shape}"
        )
    if class_names is not None:
        class_names = check_class_names(class_names)
    check_detections(
        {"boxes": boxes[None], "scores": scores[None], "labels": labels[None]},
        num_classes=None if class_names is None else len(class_names),
    )
    shown = (labels >= 0) & (scores >= score_threshold)
    if masks is not None:
        picture = tint_masks(picture, masks, labels, shown)
    picture = enlarge(picture, scale)
    draw, font = ImageDraw.Draw(picture), _font(picture)
    rows = zip(boxes[shown], labels[shown], scores[shown], strict=True)
    for box, label, score in rows:
        name = (class_names and class_names[label]) or str(label)
        text = f"{name} {score:.2f}" if has_scores else name
        ink = COLORS[label % len(COLORS)]
        box = [float(x) * scale for x in box]
        draw.rectangle(box, outline=ink, width=max(1, font.size // 7))
        _draw_text(draw, box, text, ink, font)
    return picture


def draw_grid(pictures, num_columns=4, gap=4):
    """Puts pictures side by side into one, row by row.

    Args:
        pictures: `PIL.Image.Image`s, of any sizes.
        num_columns: Pictures of a row.
        gap: Pixels between them.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: If there are no pictures.

    Example:

    >>> pictures = [Image.new("RGB", (20, 10))] * 3
    >>> print(keras_vtr.visualization.draw_grid(pictures, num_columns=2).size)
    (44, 24)
    """
    if not pictures:
        raise ValueError("`pictures` must not be empty. Received: no picture")
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    num_columns = min(num_columns, len(pictures))
    num_rows = -(-len(pictures) // num_columns)
    size = (
        num_columns * (width + gap) - gap,
        num_rows * (height + gap) - gap,
    )
    grid = Image.new("RGB", size, "white")
    for i, picture in enumerate(pictures):
        row, column = divmod(i, num_columns)
        grid.paste(picture, (column * (width + gap), row * (height + gap)))
    return grid


def draw_comparison(
    images, y_true, detections, *, num_columns=4, class_names=None, scale=1
):
    """Draws true boxes and masks and, below each image, its detections.

    Args:
        images: (B, height, width, C) pixels in [0, 255].
        y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh`, and
            `"labels"` (B, M), -1 for padding.
        detections: Dict with `"boxes"` (B, n, 4), absolute `xyxy` pixels,
            `"scores"` (B, n) and `"labels"` (B, n), as
            `keras_vtr.detections.decode_detections` returns it; optionally
            `"masks"`, as `keras_vtr.detections.decode_masks` returns them.
        num_columns: Images of a row.
        class_names: Optional names, by label.
        scale: Integer factor by which each image is enlarged.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: If there are no images, or targets or detections are not
            as documented or of other images.
    """
    images = _to_numpy(images)
    check_targets(y_true)
    check_detections(detections, len(images))
    height, width = images.shape[1:3]
    boxes = keras.utils.bounding_boxes.convert_format(
        y_true["boxes"], "rel_center_xywh", "xyxy", height, width
    )
    options = {"class_names": class_names, "scale": scale}
    truth = {**y_true, "boxes": boxes}
    keys = ("boxes", "labels", "scores", "masks")
    both = [
        {key: np.asarray(x[key]) for key in keys if key in x}
        for x in (truth, detections)
    ]
    pictures = []
    for first in range(0, len(images), num_columns):
        row = range(first, min(first + num_columns, len(images)))
        for drawn in both:
            pictures += [
                draw_boxes(
                    images[i], **{k: x[i] for k, x in drawn.items()}, **options
                )
                for i in row
            ]
            # Blanks fill an incomplete last row, to keep the columns.
            blank = Image.new("RGB", (width * scale, height * scale), "white")
            pictures += [blank] * (num_columns - len(row))
    return draw_grid(pictures, num_columns)


def write_name(picture, x, y, text, ink):
    """Writes on a filled patch in the middle of which the pixel x, y is."""
    draw, font = ImageDraw.Draw(picture), _font(picture)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x, y = x - (right - left) / 2, y + (bottom - top) / 2
    _draw_text(draw, (x, y), text, ink, font)


def _font(picture):
    return ImageFont.load_default(max(10, min(picture.size) // 20))


def _draw_text(draw, box, text, ink, font):
    """Text on a filled patch above the box, or within it at the upper edge."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(box[0], draw.im.size[0] - width))
    y = box[1] - height if box[1] >= height else box[1]
    draw.rectangle((x, y, x + width, y + height), fill=ink)
    draw.text((x + 2 - left, y + 2 - top), text, fill="black", font=font)


def _to_numpy(x):
    return keras.ops.convert_to_numpy(x)
