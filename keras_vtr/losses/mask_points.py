"""Which points of the masks a loss compares."""

import keras
from keras import ops

from keras_vtr.mask_ops import resize_masks


class MaskPoints:
    """Chooses the points at which predicted and true masks are compared.

    Your own choice is a subclass; register it with
    `keras.saving.register_keras_serializable`.
    """

    def of_pairs(self, logits, masks):
        """The points of matched masks.

        Args:
            logits: (B, L, T, height', width') float32, predicted.
            masks: (B, T, height, width) float32, their true masks, 0 and 1.

        Returns:
            (B, L, T, P) logits and (B, L or 1, T, P) true values.
        """
        raise NotImplementedError

    def of_all(self, logits, masks):
        """The points of all masks, which are compared each with each.

        Args:
            logits: (B, L, Q, height', width') float32, predicted.
            masks: (B, T, height, width) float32, true ones.

        Returns:
            (B, L, Q, P) logits and (B, 1, T, P) true values.
        """
        raise NotImplementedError

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_vtr")
class AllPixels(MaskPoints):
    """All pixels of the true masks; predictions are resized to them.

    Carion et al. 2020 (DETR), section 4.4. The resizing is bilinear, between
    the centers of pixels. The memory is that of all matched masks, in float32
    and at the size of the true ones.
    """

    def of_pairs(self, logits, masks):
        shape = ops.shape(masks)
        masks = ops.reshape(masks, (shape[0], 1, shape[1], -1))
        return _resize(logits, shape[2:]), masks

    def of_all(self, logits, masks):
        return self.of_pairs(logits, masks)


@keras.saving.register_keras_serializable(package="keras_vtr")
class UncertainPoints(MaskPoints):
    """Random points, most of them where a predicted mask is unsure.

    Kirillov et al. 2020 (PointRend), section 3.1, and Cheng et al. 2022
    (Mask2Former), section 3.3: of more points than needed, those are taken
    where the logits are nearest to 0, and some further ones anywhere. The
    memory doesn't depend on the size of the images. Differences: all masks of
    a batch choose from the same points, which are drawn by a seed from the
    predictions, so that the loss is a function of its inputs; at the edge of an
    image the nearest pixel counts, not zeros outside of it; of true masks that
    have no more pixels than P, all pixels are compared; and where TensorFlow
    doesn't know the size of masks in advance, P is at most half as many as a
    predicted one has pixels.

    Args:
        num_points: P, the most points of each mask that are compared. Default:
            Mask2Former's number, 112 x 112.
        oversampling: How many times P points are drawn to take the unsure ones
            from, 1 or more.
        importance: The share of unsure points, in [0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, num_points=12544, oversampling=3.0, importance=0.75):
        if not (isinstance(num_points, int) and num_points > 0):
            raise ValueError(
                "`num_points` must be an integer, 1 or more. Received: "
                f"num_points={num_points}"
            )
        if not oversampling >= 1:
            raise ValueError(
                "`oversampling` must be 1 or more. Received: "
                f"oversampling={oversampling}"
            )
        if not 0 <= importance <= 1:
            raise ValueError(
                "`importance` must be in [0, 1]. Received: "
                f"importance={importance}"
            )
        self.num_points = num_points
        self.oversampling = oversampling
        self.importance = importance
        self._generator = keras.random.SeedGenerator(0)

    def of_pairs(self, logits, masks):
        if self._is_small(masks):
            return AllPixels().of_pairs(logits, masks)
        num_points = self._number_for(logits, masks)
        num_unsure = _part(num_points, self.importance)
        num_drawn = _part(num_points, self.oversampling)
        num_random = num_points - num_unsure
        points = self._draw(num_drawn + num_random, logits)
        logits = interpolate(logits, points)
        masks = ops.broadcast_to(
            interpolate(masks, points)[:, None], ops.shape(logits)
        )
        distance = ops.abs(ops.stop_gradient(logits[..., :num_drawn]))
        _, unsure = ops.top_k(-distance, num_unsure)

        def choose(values):
            drawn, others = values[..., :num_drawn], values[..., num_drawn:]
            chosen = ops.take_along_axis(drawn, unsure, axis=-1)
            return ops.concatenate([chosen, others], axis=-1)

        return choose(logits), choose(masks)

    def of_all(self, logits, masks):
        if self._is_small(masks):
            return AllPixels().of_all(logits, masks)
        points = self._draw(self._number_for(logits, masks), logits)
        return interpolate(logits, points), interpolate(masks, points)[:, None]

    def _is_small(self, masks):
        return _is_known(masks) and masks.shape[2] * masks.shape[3] <= (
            self.num_points
        )

    def _number_for(self, logits, masks):
        """P, perhaps a scalar tensor."""
        if _is_known(masks):
            return self.num_points
        height, width = ops.shape(logits)[3:]
        half = (height * width + 1) // 2
        smaller = min if isinstance(half, int) else ops.minimum
        return smaller(self.num_points, half)

    def get_config(self):
        return {
            "num_points": self.num_points,
            "oversampling": self.oversampling,
            "importance": self.importance,
        }

    def _draw(self, number, logits):
        """(number, 2) points in [0, 1), by a seed from the logits.

        Nobody would keep the state of a generator within a loss.
        """
        logits = ops.stop_gradient(logits)
        digits = 1e4 * ops.stack([ops.mean(logits), ops.std(logits)])
        digits = digits - ops.floor(digits)  # the last ones change each step
        digits = ops.where(ops.isfinite(digits), digits, 0.0)
        state = self._generator.state
        seed = ops.cast(digits * 2.0**31, state.dtype)
        with keras.StatelessScope([(state, seed)]):
            return keras.random.uniform(
                (number, 2), dtype="float32", seed=self._generator
            )


def _is_known(masks):
    return all(isinstance(side, int) for side in masks.shape[2:])


def _part(number, share):
    """As `round(share * number)`, also of a tensor."""
    if isinstance(number, int):
        return round(share * number)
    return ops.cast(ops.round(share * ops.cast(number, "float32")), "int32")


def _resize(maps, size):
    """(..., height, width) -> (..., P), all pixels of the size."""
    maps = resize_masks(maps, size, ops=ops)
    return ops.reshape(maps, (*ops.shape(maps)[:-2], -1))


def interpolate(maps, points):
    """The values of maps at points, bilinear between the centers of pixels.

    Args:
        maps: (..., height, width).
        points: (P, 2), y and x from 0 to 1. Beyond the center of an edge's
            pixel its value counts.

    Returns:
        (..., P).
    """
    *outer, height, width = ops.shape(maps)
    flat = ops.reshape(maps, (*outer, -1))

    def neighbors(share, size):
        """The pixels before and after, and how near the second is."""
        last = ops.cast(size - 1, "float32")
        position = share * ops.cast(size, "float32") - 0.5
        position = ops.clip(position, 0.0, last)
        before = ops.floor(position)
        after = ops.minimum(before + 1, last)
        pixels = (ops.cast(x, "int32") for x in (before, after))
        return *pixels, position - before

    top, bottom, down = neighbors(points[:, 0], height)
    left, right, across = neighbors(points[:, 1], width)

    def row(y):
        first, second = (
            ops.take(flat, y * width + x, axis=-1) for x in (left, right)
        )
        return first + across * (second - first)

    return row(top) + down * (row(bottom) - row(top))
