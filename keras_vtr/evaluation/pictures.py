"""The worst pictures of each kind of error, with their boxes."""

import base64
import dataclasses
import io

import numpy as np

from keras_vtr.evaluation.error_kinds import KINDS
from keras_vtr.evaluation.page import element
from keras_vtr.metrics.batches import finite_batches
from keras_vtr.visualization.pictures import to_picture

LONGEST_SIDE = 480  # pixels of a picture in a report
SMALL_SIDE = 160  # up to which pixels stay sharp squares


@dataclasses.dataclass(frozen=True)
class WorstPicture:
    """A picture, and the boxes that show what is wrong in it.

    Args:
        name: Of the picture.
        picture: A `PIL.Image.Image`.
        sides: Its height and width in the unit of the boxes.
        boxes: List of (`xywh`, text, role): the roles are "true", "right",
            "other" for another kind of error, and "wrong" for this one. Texts
            of the first and the last are drawn.
    """

    name: str
    picture: object
    sides: tuple
    boxes: list


def worst_images(objects, errors, num_pictures):
    """Numbers of the images with the worst errors of each kind.

    Those with the highest sum of the scores of a kind's false detections, or
    with the most missed objects.
    """
    worst = {}
    for kind in KINDS:
        is_kind = errors.is_kind(kind)
        images, weights = objects.images, objects.scores
        if kind == "missed":
            images, weights = objects.true_images, np.ones(len(is_kind))
        sums = np.bincount(
            images[is_kind], weights[is_kind], minlength=objects.num_images
        )
        order = np.argsort(-sums, kind="stable")[:num_pictures]
        worst[kind] = [int(i) for i in order if sums[i] > 0]
    return worst


def worst_pictures(objects, errors, numbers, pictures, sides, names):
    """The `WorstPicture`s of each kind.

    Args:
        objects: The `MatchedObjects`, without detections below a threshold.
        errors: Their `Errors`.
        numbers: What `worst_images` returns.
        pictures: Dict from a number to the picture.
        sides: Height and width of each image, the unit of boxes; None for those
            of the pictures.
        names: (K,) of the classes, and of the images.
    """
    class_names, image_names = names
    return {
        kind: [
            WorstPicture(
                image_names[i],
                pictures[i],
                sides[i] if sides else pictures[i].size[::-1],
                _boxes(objects, errors, kind, i, class_names),
            )
            for i in some
        ]
        for kind, some in numbers.items()
    }


def _boxes(objects, errors, kind, image, class_names):
    """True boxes first, the wrong ones last and so on top."""
    boxes = []
    for i in np.flatnonzero(objects.true_images == image):
        is_wrong = kind == "missed" and errors.is_missed[i]
        label = objects.true_labels[i]
        name = class_names[label] or str(label)
        role = "wrong" if is_wrong else "true"
        boxes.append((objects.true_boxes[i].tolist(), name, role))
    for i in np.flatnonzero(objects.images == image):
        role = "right" if objects.is_right[i] else "other"
        if kind != "missed" and errors.is_kind(kind)[i]:
            role = "wrong"
        label = objects.labels[i]
        text = f"{class_names[label] or label} {objects.scores[i]:.2f}"
        boxes.append((objects.boxes[i].tolist(), text, role))
    return sorted(boxes, key=lambda x: ROLES.index(x[2]))


def chosen_pictures(batches, numbers):
    """Reads the pictures of some images, without their padding.

    Args:
        batches: Batches of `(inputs, y_true)`.
        numbers: Of the images in their order.

    Returns:
        Dict from a number to a `PIL.Image.Image`.

    Raises:
        ValueError: If the batches have fewer images than the first time.
    """
    found, first = {}, 0
    for inputs, _ in finite_batches(batches) if numbers else ():
        is_padded = isinstance(inputs, dict)
        images = inputs["images"] if is_padded else inputs
        for i in range(first, first + len(images)):
            if i in numbers:
                image = images[i - first]
                if is_padded:
                    real = inputs["padding_mask"][i - first]
                    height, width = (real.any(axis=x).sum() for x in (1, 0))
                    image = image[:height, :width]
                found[i] = to_picture(image)
        first += len(images)
        if len(found) == len(numbers):
            return found
    if numbers:
        raise ValueError(
            "`batches` must hold the same images at each pass, such as a "
            "tf.data.Dataset or a list does, to draw the worst ones. Received: "
            f"{first} images at the second pass"
        )
    return found


ROLES = ("true", "right", "other", "wrong")
COLORS = {
    "true": "#3ddc84",
    "right": "#5aa9ff",
    "other": "#ffb454",
    "wrong": "#ff4d5e",
}


def picture_element(worst):
    """A picture with its boxes as an element of a page."""
    height, width = worst.sides
    unit = max(height, width) / 100
    shapes = [
        element(
            "image",
            href=_data_address(worst.picture),
            width=f"{width:g}",
            height=f"{height:g}",
            preserveAspectRatio="none",
            style=_sharp(worst.picture),
        )
    ]
    for box, text, role in worst.boxes:
        shapes += _box(box, text, role, unit, height)
    return element(
        "figure",
        element(
            "svg", *shapes, viewBox=f"0 0 {width:g} {height:g}", role="img"
        ),
        element("figcaption", worst.name),
    )


def _box(box, text, role, unit, height):
    x, y, w, h = box
    color = COLORS[role]
    thickness = unit * (1.4 if role == "wrong" else 0.7)
    dashes = f"stroke-dasharray: {2 * unit:.2f}" if role == "true" else ""
    yield element(
        "rect",
        element("title", f"{role}: {text}"),
        x=f"{x:.2f}",
        y=f"{y:.2f}",
        width=f"{w:.2f}",
        height=f"{h:.2f}",
        style=f"fill: none; stroke: {color}; stroke-width: {thickness:.2f}; "
        f"{dashes}",
    )
    if role in ("right", "other"):  # the title has the text
        return
    size = 5 * unit
    # True names below the box, found ones above it, both within the picture.
    y = y + h + size if role == "true" else y - unit
    style = (
        f"fill: {color}; font: 600 {size:.2f}px sans-serif; stroke: #000; "
        f"stroke-width: {0.9 * unit:.2f}; paint-order: stroke"
    )
    y = min(max(y, size), height - unit)
    yield element("text", text, x=f"{x:.2f}", y=f"{y:.2f}", style=style)


def _sharp(picture):
    is_small = max(picture.size) <= SMALL_SIDE
    return "image-rendering: pixelated" if is_small else ""


def _data_address(picture):
    """The picture itself, as an address."""
    is_small = max(picture.size) <= SMALL_SIDE
    kind, options = ("png", {}) if is_small else ("jpeg", {"quality": 80})
    picture = picture.copy()
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, kind, **options)
    text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind};base64,{text}"
