"""What is found in overlapping tiles becomes one list: the rule of `Tiles`."""

import numpy as np

from keras_vtr.detections.cropped_masks import CroppedMasks

EDGE = 0.02  # of a tile's side: a box that ends nearer to an inner edge is cut
INWARD = np.array([1, 1, -1, -1])  # from the sides of an `xyxy` box
UNLIMITED = np.array([-np.inf, -np.inf, np.inf, np.inf])


def merge_tiles(found, places, image_shape, threshold):
    """Merges the detections of tiles; `keras_vtr.detections.Tiles` says how.

    Args:
        found: As of `Tiles.merge`, as are the others.
        threshold: As of `Tiles`.

    Returns:
        As `Tiles.merge`.
    """
    tile = np.repeat(range(len(found)), [len(x["labels"]) for x in found])
    rows = {
        key: np.concatenate([x[key] for x in found])
        for key in ("boxes", "scores", "labels")
    }
    rows["parts"] = [
        part for x in found for part in getattr(x.get("masks"), "parts", ())
    ]
    views = _Views(places, image_shape)
    rows["boxes"] = views.clip(rows["boxes"], tile)
    cut = views.cut_sides(rows["boxes"], tile)
    kept = ~views.are_seen_better(rows["boxes"], cut, tile)
    pairs = views.pairs(rows["boxes"], cut, tile, rows["labels"], kept)
    groups = _join(pairs, tile, threshold, np.flatnonzero(kept))
    depths = views.depths(rows["boxes"], tile)
    objects = [_merge(group, rows, depths) for group in groups]
    order = np.argsort([-x["scores"] for x in objects], kind="stable")
    merged = {
        key: np.array([objects[i][key] for i in order], rows[key].dtype)
        for key in ("boxes", "scores", "labels")
    }
    merged["boxes"] = merged["boxes"].reshape(-1, 4)
    if "masks" in found[0]:
        parts = [objects[i]["part"] for i in order]
        merged["masks"] = CroppedMasks(image_shape, parts)
    return merged


class _Views:
    """What tiles see: of all boxes (n, 4), `tile` (n,) says in which they are.

    The whole picture, if it is one of several, has no inner edge.
    """

    def __init__(self, places, image_shape):
        height, width = image_shape
        self.places = places
        self.is_inner = places != (0, 0, width, height)
        sides = places[:, 2:] - places[:, :2]
        self.margins = EDGE * np.tile(sides, 2)
        self.is_whole = ~self.is_inner.any(axis=1)

    def clip(self, boxes, tile):
        """The boxes without what is beyond the inner edges of their tiles."""
        edges = np.where(self.is_inner, self.places, UNLIMITED)[tile]
        return _clip(boxes, edges).astype(boxes.dtype)

    def cut_sides(self, boxes, tile):
        """(n, 4) bool."""
        return self._depths(boxes, tile) <= self.margins[tile]

    def depths(self, boxes, tile):
        """(n, 4): how far within the inner edges of its tile a side lies.

        In the whole picture just not cut: tiles see more of what they see.
        """
        return np.where(
            self.is_whole[tile, None],
            self.margins[0],
            self._depths(boxes, tile),
        )

    def are_seen_better(self, boxes, cut, tile):
        """(n,) bool: in another tile that cuts only some of the cut sides."""
        found = np.zeros(len(boxes), bool)
        cut_ones = cut.any(axis=1)
        for i in np.unique(tile[cut_ones]):
            mine = np.flatnonzero(cut_ones & (tile == i))[:, None]
            others = self._neighbors(i)
            others = others[~self.is_whole[others]]
            depths = self._depths(boxes[mine], others)  # (mine, others, 4)
            cuts = depths <= self.margins[others]
            is_better = (cuts <= cut[mine]).all(axis=2)
            is_better &= (cuts < cut[mine]).any(axis=2)
            is_better &= (depths >= 0).all(axis=2)
            found[mine[:, 0]] = is_better.any(axis=1)
        return found

    def pairs(self, boxes, cut, tile, labels, kept):
        """(p, 2) numbers of kept boxes of two tiles and a class, (p,) IoUs."""
        seen = np.where(cut, self.places[tile], UNLIMITED)
        rows = [
            np.flatnonzero(kept & (tile == i))
            for i in range(tile.max(initial=-1) + 1)
        ]
        found = [(np.zeros((0, 2), int), np.zeros(0))]
        for i, mine in enumerate(rows):
            others = [rows[j] for j in self._neighbors(i) if i < j < len(rows)]
            others = np.concatenate([mine[:0], *others])
            one, other = (
                x.ravel() for x in np.meshgrid(mine, others, indexing="ij")
            )
            is_same = labels[one] == labels[other]
            one, other = one[is_same], other[is_same]
            ious = _iou(
                _clip(boxes[one], seen[other]), _clip(boxes[other], seen[one])
            )
            found.append((np.stack([one, other], axis=1), ious))
        return tuple(np.concatenate(x) for x in zip(*found, strict=True))

    def _depths(self, boxes, tile):
        depths = (boxes - self.places[tile]) * INWARD
        return np.where(self.is_inner[tile], depths, np.inf)

    def _neighbors(self, i):
        """Numbers of the tiles that have pixels of tile i."""
        begin = np.maximum(self.places[i, :2], self.places[:, :2])
        end = np.minimum(self.places[i, 2:], self.places[:, 2:])
        numbers = np.flatnonzero((begin < end).all(axis=1))
        return numbers[numbers != i]


def _clip(boxes, edges):
    begin = np.maximum(boxes[..., :2], edges[..., :2])
    end = np.minimum(boxes[..., 2:], edges[..., 2:])
    return np.concatenate([begin, end], axis=-1)


def _iou(one, other):
    shared = _area(_clip(one, other))
    return shared / np.maximum(_area(one) + _area(other) - shared, 1e-9)


def _area(boxes):
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)


def _join(pairs, tile, threshold, numbers):
    """Lists of numbers of boxes: the most alike ones joined, of other tiles."""
    groups = {i: [i] for i in numbers.tolist()}
    pairs, ious = pairs
    order = np.argsort(-ious, kind="stable")
    for one, other in pairs[order[ious[order] > threshold]].tolist():
        a, b = groups[one], groups[other]
        if not set(tile[a]) & set(tile[b]):  # so they are two lists
            a += b
            groups.update(dict.fromkeys(b, a))
    return list({id(group): group for group in groups.values()}.values())


def _merge(group, rows, depths):
    """The object that the boxes of a group are."""
    group = sorted(group, key=lambda i: -rows["scores"][i])
    deepest = np.argmax(depths[group], axis=0)  # the best one where all are
    box = rows["boxes"][group][deepest, range(4)]
    parts = [rows["parts"][i] for i in group] if rows["parts"] else []
    return {
        "boxes": np.concatenate([box[:2], np.maximum(box[:2], box[2:])]),
        "scores": rows["scores"][group[0]],
        "labels": rows["labels"][group[0]],
        "part": CroppedMasks((0, 0), parts).union() if parts else None,
    }
