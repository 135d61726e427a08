"""Large pictures, looked at in overlapping tiles."""

import dataclasses
import math

import numpy as np

from keras_vtr.detections.cropped_masks import CroppedMasks
from keras_vtr.detections.tile_merging import merge_tiles


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Overlapping tiles of a picture, and the rule that merges what is found.

    Small objects of a large picture vanish when it is shrunk to a detector's
    size. So the detector looks at tiles of the picture (Akyon et al. 2022,
    "Slicing Aided Hyper Inference", section 3), and what it finds is moved back
    and merged. Tiles are spread evenly, none reaches beyond the picture, and
    neighbors share at least `overlap`. A tile's edge within the picture is an
    inner edge: there an object may be cut. The rule, which differs from the
    paper's suppression by a threshold alone:

    1. A side of a box that is beyond an inner edge or nearer to it than 2% of
       the tile is cut; the box is clipped to the edge.
    2. A detection with cut sides is dropped if another tile has the box within
       and cuts fewer sides of it: that tile sees the object better, and what
       it says about it counts, whatever the class.
    3. Two detections of one class, from different tiles, are of the same object
       if the IoU of their boxes, each clipped where the other one is cut, is
       above `threshold`. The most alike pairs are joined first. An object never
       has two detections of one tile: what the detector itself tells apart, in
       a crowd, stays apart.
    4. An object has the best of its scores; each side of its box from the tile
       in which it is farthest from the inner edges; and the union of its masks.

    So each object is found once, with its true box, if the detector finds what
    it sees: from one tile, if the object is no larger than the overlap, else
    joined from several. Without overlap, a cut object stays in parts.

    For another rule, override `merge`.

    Args:
        size: `(height, width)` of a tile in pixels. Default, in
            `keras_vtr.detect`: the model's size, so that nothing is scaled. A
            picture that is smaller has smaller tiles.
        overlap: The least share of a tile's sides that neighbors have in
            common, in [0, 1). Objects up to this size are in one tile as a
            whole.
        batch_size: How many tiles the detector gets at once.
        whole_picture: Whether it also gets the whole picture, for objects that
            are larger than tiles. Rule 2 isn't asked about it, and sides come
            from it only where all tiles cut them.
        threshold: The IoU above which two detections are of one object.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> tiles = keras_vtr.detections.Tiles(size=(64, 64), overlap=0.25)
    >>> print(tiles.places((64, 150)).tolist())
    [[0, 0, 64, 64], [43, 0, 107, 64], [86, 0, 150, 64]]
    """

    size: tuple | None = None
    overlap: float = 0.25
    batch_size: int = 8
    whole_picture: bool = False
    threshold: float = 0.5

    def __post_init__(self):
        sides = self.size
        if sides is not None and (
            np.shape(sides) != (2,) or not all(_is_count(x) for x in sides)
        ):
            raise ValueError(
                "`size` must be (height, width) of a tile in whole pixels, or "
                f"None for the model's. Received: size={sides!r}"
            )
        if not 0 <= self.overlap < 1:
            raise ValueError(
                "`overlap` must be a share of a tile's sides, in [0, 1). "
                f"Received: overlap={self.overlap!r}"
            )
        if not _is_count(self.batch_size):
            raise ValueError(
                "`batch_size` must be a whole number, 1 or more. Received: "
                f"batch_size={self.batch_size!r}"
            )
        if not 0 < self.threshold <= 1:
            raise ValueError(
                "`threshold` must be an IoU, above 0 and at most 1. Received: "
                f"threshold={self.threshold!r}"
            )

    def sized(self, size):
        """These tiles, of this (height, width) if they have none.

        Raises:
            ValueError: If neither they nor the model have one.
        """
        if self.size is not None:
            return self
        if None in size:
            raise ValueError(
                "`tiles` must have a size for a model of free size: "
                f"Tiles(size=(height, width)). Received: tiles={self}"
            )
        return dataclasses.replace(self, size=tuple(size))

    def places(self, image_shape):
        """Where the tiles of a picture are.

        Args:
            image_shape: Its (height, width), or (height, width, channels).

        Returns:
            (n, 4) integers, `xyxy` pixels, row by row.
        """
        (top, bottom), (left, right) = (
            self._spread(side, length)
            for side, length in zip(self.size, image_shape[:2], strict=True)
        )
        rows, columns = (x.ravel() for x in np.mgrid[: len(top), : len(left)])
        ends = left[columns], top[rows], right[columns], bottom[rows]
        return np.stack(ends, axis=1)

    def detect(self, find, pixels):
        """Finds the objects of a picture.

        Args:
            find: A function from (B, height, width, C) pixels to a list of B
                dicts as `keras_vtr.detect` returns: `"boxes"`, `"scores"`,
                `"labels"` and perhaps `"masks"`; such as `detect` of a model,
                or what asks a server.
            pixels: (height, width, C), the picture.

        Returns:
            A dict of these, `masks` as in `keras_vtr.detect(tiles=...)`.
        """
        places = self.places(pixels.shape)
        found = []
        for first in range(0, len(places), self.batch_size):
            batch = [
                pixels[top:bottom, left:right]
                for left, top, right, bottom in places[
                    first : first + self.batch_size
                ]
            ]
            found += find(np.stack(batch))
        if self.whole_picture and len(places) > 1:
            found += find(pixels[None])
            whole = [[0, 0, pixels.shape[1], pixels.shape[0]]]
            places = np.concatenate([places, whole])
        sides = pixels.shape[:2]
        moved = [
            _move(one, place, sides)
            for one, place in zip(found, places.tolist(), strict=True)
        ]
        return self.merge(moved, places, sides)

    def merge(self, found, places, image_shape):
        """Makes one list of the detections of all tiles, by the rule above.

        Args:
            found: A dict of detections for each tile, in the picture's pixels.
            places: (n, 4) integers, `xyxy`, where the n tiles are; the last one
                may be the whole picture.
            image_shape: The picture's (height, width).

        Returns:
            A dict of all detections, the best ones first.
        """
        return merge_tiles(found, places, image_shape, self.threshold)

    def _spread(self, side, length):
        """Beginnings and ends of the tiles along one axis."""
        side = min(side, length)
        step = max(1, side - math.ceil(self.overlap * side))
        number = 1 + math.ceil((length - side) / step)
        begin = np.arange(number) * (length - side) // max(1, number - 1)
        return begin, begin + side


def _is_count(x):
    is_whole = isinstance(x, int | np.integer) and not isinstance(x, bool)
    return is_whole and x >= 1


def _move(found, place, image_shape):
    """A tile's detections in the pixels of the picture."""
    left, top, _, _ = place
    corner = np.array([left, top, left, top], "float32")
    moved = {key: found[key] for key in ("scores", "labels")}
    moved["boxes"] = found["boxes"] + corner
    if "masks" in found:
        masks = CroppedMasks.of(found["masks"], found["masks"].shape[1:])
        moved["masks"] = masks.moved(top, left, image_shape)
    return moved
