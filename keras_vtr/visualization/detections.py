import os

from PIL import Image

from keras_vtr.visualization.boxes import draw_boxes


def draw_detections(image, found, *, scale=1):
    """Draws what `keras_vtr.detect` has found in a picture.

    Args:
        image: The picture that was given to `detect`: a path, a
            `PIL.Image.Image` or an array (height, width, C) in [0, 255].
        found: The dict that `detect` returned for it.
        scale: As of `draw_boxes`.

    Returns:
        A `PIL.Image.Image`; `.save("picture.png")` writes it.

    Raises:
        OSError: If the file can't be read.
        ValueError: As `draw_boxes`.

    Example:

    >>> found = {"boxes": np.array([[5.0, 5.0, 30.0, 30.0]])}
    >>> found |= {"labels": np.array([1]), "scores": np.array([0.9])}
    >>> found["names"] = ["dog"]
    >>> picture = keras_vtr.visualization.draw_detections(
    ...     np.zeros((40, 60, 3)), found
    ... )
    >>> print(picture.size)
    (60, 40)
    """
    if isinstance(image, str | os.PathLike):
        with Image.open(image) as picture:
            picture.load()
            image = picture
    names = [None] * (int(max(found["labels"], default=-1)) + 1)
    for label, name in zip(found["labels"], found["names"], strict=True):
        names[label] = name
    return draw_boxes(
        image,
        found["boxes"],
        found["labels"],
        found["scores"],
        masks=found.get("masks"),
        class_names=names,
        score_threshold=0.0,  # what is below is left out already
        scale=scale,
    )
