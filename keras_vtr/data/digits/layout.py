"""What a scene of digits looks like: its size, its digits, its clutter."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class SceneLayout:
    """What `digit_scenes` draws: how many digits, how large, among what.

    Args:
        image_size: Height and width of a scene in pixels.
        max_digits: M, the most digits of a scene.
        digit_heights: The least and the greatest height of a digit in pixels.
        max_overlap: The greatest overlap of two boxes, as a share of the
            smaller one. A digit that finds no such place is left out.
        num_tries: Random positions tried for each digit; the one of least
            overlap is taken. The fewer, the more the digits overlap.
        max_fragments: The most fragments of a scene: quarters of
            digits, which are drawn and are no targets.
        photographs: Whether scikit-learn's two sample photographs, gray and
            darkened, are the background.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> layout = keras_vtr.data.SceneLayout(image_size=128, max_digits=12)
    >>> scenes = keras_vtr.data.digit_scenes("train", layout=layout)
    >>> images, y_true = next(iter(scenes))
    >>> print(images.shape, y_true["boxes"].shape)
    (32, 128, 128, 1) (32, 12, 4)
    """

    image_size: int = 64
    max_digits: int = 5
    digit_heights: tuple = (14.0, 30.0)
    max_overlap: float = 0.1
    num_tries: int = 24
    max_fragments: int = 0
    photographs: bool = False

    def __post_init__(self):
        for name, least in (
            ("image_size", 8),
            ("max_digits", 1),
            ("num_tries", 1),
            ("max_fragments", 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"`{name}` must be an integer of {least} or more. "
                    f"Received: {name}={value!r}"
                )
        heights = self.digit_heights
        is_pair = np.shape(heights) == (2,)
        if not is_pair or not 8 <= heights[0] <= heights[1] <= self.image_size:
            raise ValueError(
                "`digit_heights` must be two numbers, the least first, from 8 "
                f"to `image_size`={self.image_size}. Received: "
                f"digit_heights={heights}"
            )
        if not 0 <= self.max_overlap <= 1:
            raise ValueError(
                "`max_overlap` must be within [0, 1]. Received: "
                f"max_overlap={self.max_overlap}"
            )


LAYOUTS = {
    "easy": SceneLayout(),
    "crowded": SceneLayout(
        image_size=256,
        max_digits=40,
        digit_heights=(8.0, 40.0),
        max_overlap=0.4,
        num_tries=2,
        max_fragments=20,
        photographs=True,
    ),
}


def find_layout(layout):
    """The `SceneLayout` of a name, or the one given."""
    if isinstance(layout, str):
        layout = LAYOUTS.get(layout, layout)
    if not isinstance(layout, SceneLayout):
        raise ValueError(
            f"`layout` must be one of {list(LAYOUTS)} or a "
            f"`keras_vtr.data.SceneLayout`. Received: layout={layout!r}"
        )
    return layout
