"""Masks of a large picture in little memory."""

import numpy as np

EMPTY = (0, 0, np.zeros((0, 0), bool))  # the part of a mask without a pixel


class CroppedMasks:
    """Masks of one picture, of which only the parts with objects are kept.

    Reads as an array (n, height, width) bool: `len(masks)`, `masks[i]`,
    `for mask in masks`, `masks.shape`; `np.asarray(masks)` makes one, of n x
    height x width bytes.

    Args:
        image_shape: (height, width) of the picture.
        parts: List of n triples: the first row, the first column, and the
            mask from there on, (rows, columns) bool.
    """

    dtype = np.dtype(bool)

    def __init__(self, image_shape, parts):
        self.image_shape = tuple(image_shape)
        self.parts = parts

    @classmethod
    def of(cls, masks, image_shape):
        """The parts of masks (height, width) bool, looked at one by one."""
        if isinstance(masks, cls):
            return masks
        return cls(image_shape, [_crop(np.asarray(mask)) for mask in masks])

    @property
    def shape(self):
        return (len(self.parts), *self.image_shape)

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, key):
        """The mask of a number; else those of a slice or of numbers."""
        if not isinstance(key, int | np.integer):
            chosen = np.arange(len(self))[key]
            return CroppedMasks(
                self.image_shape, [self.parts[i] for i in chosen]
            )
        mask = np.zeros(self.image_shape, bool)
        _paste(mask, *self.parts[key])
        return mask

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        masks = np.zeros(self.shape, bool)
        for mask, part in zip(masks, self.parts, strict=True):
            _paste(mask, *part)
        return masks if dtype is None else masks.astype(dtype)

    def moved(self, top, left, image_shape):
        """The same within a larger picture, of which this one is a part."""
        parts = [(y + top, x + left, part) for y, x, part in self.parts]
        return CroppedMasks(image_shape, parts)

    def union(self):
        """The part of the pixels that any of the masks has."""
        parts = [part for part in self.parts if part[2].size]
        if not parts:
            return EMPTY
        begin = [min(part[i] for part in parts) for i in (0, 1)]
        end = [
            max(part[i] + part[2].shape[i] for part in parts) for i in (0, 1)
        ]
        both = np.zeros(np.subtract(end, begin), bool)
        for top, left, part in parts:
            _paste(both, top - begin[0], left - begin[1], part)
        return (*begin, both)


def _crop(mask):
    """The first row and column of a mask's smallest part, and this part."""
    rows, columns = (np.flatnonzero(mask.any(axis=i)) for i in (1, 0))
    if not len(rows):
        return EMPTY
    (top, bottom), (left, right) = ((x[0], x[-1] + 1) for x in (rows, columns))
    return int(top), int(left), mask[top:bottom, left:right].copy()


def _paste(mask, top, left, part):
    rows, columns = part.shape
    mask[top : top + rows, left : left + columns] |= part
