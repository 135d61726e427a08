"""Terms over the masks of matched queries."""

import keras
from keras import ops

from keras_vtr.classifiers import classifier_of
from keras_vtr.losses.mask_points import AllPixels
from keras_vtr.losses.sigmoid_terms import check_focal
from keras_vtr.losses.sigmoid_terms import sigmoid_power
from keras_vtr.losses.terms import Term
from keras_vtr.targets import check_masks


class MaskTerm(Term):
    """A distance of predicted masks from the true ones of their queries.

    The base of the terms below. It reads `"masks"` of both sides: of the model
    (B, Q, height', width') logits, of the last decoder layer or, with
    `"auxiliary_masks"`, of the last ones; of the targets (B, M, height, width)
    bool, or numbers 0 and 1. Only masks of matched queries are computed. The
    sum is divided by the number of true objects.

    Args:
        weight: Its weight in the loss.
        points: The `MaskPoints` that count: `AllPixels()`, the default, or
            `UncertainPoints()`.
        cost_weight: Its weight in the matching cost. Default: `weight`.
        name: Its name in the progress bar.

    Raises:
        ValueError: If a weight is below 0; on call, if there are no masks, or
            they don't fit the labels.
    """

    needs = ("masks",)

    def __init__(self, weight, points, cost_weight, name):
        super().__init__(name, weight, cost_weight)
        self.points = AllPixels() if points is None else points

    def compare(self, logits, masks, dot):
        """The distance of masks at P points.

        Args:
            logits: (B, L, n, P) float32.
            masks: (B, L, T, P) float32.
            dot: Sums the product of two such tensors over the points: in the
                loss of pairs, (B, L, T); in the matching of each with each,
                (B, L, T, Q).
        """
        raise NotImplementedError

    def cost(self, y_true, y_pred):
        masks = _check_masks(self, y_true, y_pred)
        logits, masks = self.points.of_all(y_pred["masks"], masks)
        cost = self.compare(logits, masks, _each_with_each)
        num_layers = y_pred[classifier_of(y_pred).key].shape[1]
        missing = num_layers - cost.shape[1]
        # Layers without masks are matched without them.
        return ops.pad(cost, ((0, 0), (missing, 0), (0, 0), (0, 0)))

    def sums(self, pairs):
        if pairs.targets is None or pairs.assignment is None:
            raise ValueError(
                f"The term {self.name!r} needs `targets` and `assignment` of "
                "the `Pairs` of each pairing. Received: a pairing without them"
            )
        masks = _check_masks(self, pairs.targets, pairs.y_pred)
        logits = pairs.matched_predictions("masks")  # (B, L', T, ...)
        is_target = pairs.assignment[:, -logits.shape[1] :] >= 0
        logits, masks = self.points.of_pairs(logits, masks)
        distance = self.compare(logits, masks, _by_pair)
        return ops.sum(ops.where(is_target, distance, 0.0), axis=(0, 2))

    def get_config(self):
        points = keras.saving.serialize_keras_object(self.points)
        return {**super().get_config(), "points": points}

    @classmethod
    def from_config(cls, config):
        points = keras.saving.deserialize_keras_object(config["points"])
        return cls(**{**config, "points": points})


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskFocalTerm(MaskTerm):
    """Focal loss of each pixel, the mean over the pixels.

    Lin et al. 2017 (RetinaNet), equation 5, as in Carion et al. 2020 (DETR),
    section 4.4. Further arguments as in `MaskTerm`.

    Args:
        alpha: Weight of an object's own pixels, in [0, 1].
        gamma: How little a pixel counts that is known, 0 or above.
    """

    def __init__(
        self,
        weight=1.0,
        points=None,
        *,
        alpha=0.25,
        gamma=2.0,
        cost_weight=None,
        name="mask_loss",
    ):
        super().__init__(weight, points, cost_weight, name)
        check_focal(alpha, gamma)
        self.alpha = alpha
        self.gamma = gamma

    def compare(self, logits, masks, dot):
        inside = -self.alpha * ops.log_sigmoid(logits)
        inside = inside * sigmoid_power(-logits, self.gamma)
        outside = -(1 - self.alpha) * ops.log_sigmoid(-logits)
        outside = outside * sigmoid_power(logits, self.gamma)
        total = dot(inside, masks) + dot(outside, 1 - masks)
        return total / ops.cast(ops.shape(masks)[-1], "float32")

    def get_config(self):
        config = {"alpha": self.alpha, "gamma": self.gamma}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskCrossentropyTerm(MaskTerm):
    """Binary cross-entropy of each pixel, the mean over the pixels.

    Cheng et al. 2022 (Mask2Former), section 3.2.2. The arguments as in
    `MaskTerm`.
    """

    def __init__(
        self, weight=5.0, points=None, *, cost_weight=None, name="mask_loss"
    ):
        super().__init__(weight, points, cost_weight, name)

    def compare(self, logits, masks, dot):
        inside, outside = -ops.log_sigmoid(logits), -ops.log_sigmoid(-logits)
        total = dot(inside, masks) + dot(outside, 1 - masks)
        return total / ops.cast(ops.shape(masks)[-1], "float32")


@keras.saving.register_keras_serializable(package="keras_vtr")
class DiceTerm(MaskTerm):
    """1 - Dice coefficient: the overlap, relative to the sizes of both masks.

    Milletari et al. 2016 (V-Net), section 3, with 1 added to numerator and
    denominator, as in Carion et al. 2020 (DETR), section 4.4: small objects
    count as much as large ones. The arguments as in `MaskTerm`.
    """

    def __init__(
        self, weight=1.0, points=None, *, cost_weight=None, name="dice_loss"
    ):
        super().__init__(weight, points, cost_weight, name)

    def compare(self, logits, masks, dot):
        inside = ops.sigmoid(logits)
        both = dot(inside, masks)
        sizes = dot(inside, ops.ones_like(masks))
        sizes = sizes + dot(ops.ones_like(inside), masks)
        return 1 - (2 * both + 1) / (sizes + 1)


def _by_pair(a, b):
    return ops.sum(a * b, axis=-1)


def _each_with_each(a, b):
    """(B, L, Q, P) and (B, 1, T, P) -> (B, L, T, Q)."""
    return ops.matmul(b, ops.transpose(a, (0, 1, 3, 2)))


def _check_masks(term, y_true, y_pred):
    """Returns the true masks, (B, T, height, width) float32."""
    for name, masks, remedy in (
        ("y_true", y_true, "give `masks=True` to the data set"),
        ("y_pred", y_pred, "build the model with a mask head"),
    ):
        if "masks" not in masks:
            raise ValueError(
                f"The term {term.name!r} needs 'masks' in `{name}`: {remedy}, "
                "or leave the term out. Received: no 'masks'"
            )
    masks = y_true["masks"]
    check_masks(masks.shape, y_true["labels"].shape)
    return ops.cast(masks, "float32")
