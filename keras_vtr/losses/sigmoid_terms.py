"""Label terms of classifiers with one sigmoid for each class."""

import keras
from keras import ops

from keras_vtr.box_ops import iou
from keras_vtr.box_ops import to_corners
from keras_vtr.classifiers import SIGMOID
from keras_vtr.losses.class_weights import check_class_weights
from keras_vtr.losses.class_weights import num_weighted_pairs
from keras_vtr.losses.class_weights import weights_of_pairs
from keras_vtr.losses.detr_terms import BoxTerm
from keras_vtr.losses.detr_terms import GIoUTerm
from keras_vtr.losses.logged_terms import CardinalityError
from keras_vtr.losses.logged_terms import ClassError
from keras_vtr.losses.terms import Term

SMALLEST = 1e-8  # added to a probability in the cost, as in Deformable DETR
LEAST_LOGARITHM = -1e30


class SigmoidTerm(Term):
    """Weighted binary cross-entropy of each class, over all queries.

    The base of the two terms below, which differ in the weights. The sum is
    divided by the number of true boxes, 1 at least: without objects every class
    must still be absent. The cost is the focal loss of the target's class, less
    what it would be without this target (Zhu et al. 2020, "Deformable DETR",
    and its code).
    """

    classifier = SIGMOID

    def __init__(
        self,
        weight=1.0,
        *,
        alpha=0.25,
        gamma=2.0,
        cost_weight=None,
        name="label_loss",
        class_weights=None,
    ):
        if cost_weight is None:
            cost_weight = 2 * weight
        super().__init__(name, weight, cost_weight)
        check_focal(alpha, gamma)
        self.alpha = alpha
        self.gamma = gamma
        self.class_weights = check_class_weights(class_weights)

    def cross_entropy_weights(self, logits, pairs):
        """Of a query's own class, and of every class that it doesn't have.

        Args:
            logits: (B, L, Q, K).
            pairs: The `Pairs`.

        Returns:
            Of its own class the weights of log p and of log(1 - p), and of the
            others that of log(1 - p); each broadcasts to (B, L, Q, K).
        """
        raise NotImplementedError

    def cost(self, y_true, y_pred):
        probabilities = ops.sigmoid(y_pred[SIGMOID.key])  # (B, L, Q, K)
        labels = y_true["labels"][:, None, None, :]  # (B, 1, 1, M)
        labels = ops.where(labels < 0, 0, labels)
        p = ops.take_along_axis(probabilities, labels, axis=-1)
        found = -(self.alpha * (1 - p) ** self.gamma) * ops.log(p + SMALLEST)
        missed = -((1 - self.alpha) * p**self.gamma) * ops.log(1 - p + SMALLEST)
        return ops.transpose(found - missed, (0, 1, 3, 2))  # (B, L, M, Q)

    def sums(self, pairs):
        logits = pairs.y_pred[SIGMOID.key]  # (B, L, Q, K)
        classes = ops.arange(logits.shape[-1], dtype="int32")
        labels = pairs.y_true["labels"]
        is_own = ops.logical_and(
            ops.equal(labels[..., None], classes), pairs.matched[..., None]
        )
        yes, no, other = self.cross_entropy_weights(logits, pairs)
        log_p = ops.maximum(ops.log_sigmoid(logits), LEAST_LOGARITHM)
        log_rest = ops.maximum(ops.log_sigmoid(-logits), LEAST_LOGARITHM)
        num_classes = logits.shape[-1]
        weight = weights_of_pairs(self.class_weights, pairs, num_classes)
        own = weight[..., None] * (yes * log_p + no * log_rest)
        losses = -ops.sum(ops.where(is_own, own, other * log_rest), axis=-1)
        counts = ops.logical_or(pairs.matched, pairs.idle)
        return ops.sum(ops.where(counts, losses, 0.0), axis=(0, 2))

    def normalizer(self, pairs):
        # Of the further groups of queries each has a sum.
        num_queries = pairs.num_images * pairs.matched.shape[-1]
        num_groups = (pairs.num_pairs + pairs.num_idle) / num_queries
        num_classes = pairs.y_pred[SIGMOID.key].shape[-1]
        num = num_weighted_pairs(self.class_weights, pairs, num_classes)
        return ops.maximum(num, num_groups)

    def get_config(self):
        config = {
            "alpha": self.alpha,
            "gamma": self.gamma,
            "class_weights": self.class_weights,
        }
        return {**super().get_config(), **config}


def check_focal(alpha, gamma):
    """Refuses numbers that are no weights of a focal loss."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must be in [0, 1]. Received: alpha={alpha}")
    if not gamma >= 0:
        raise ValueError(f"`gamma` must be 0 or above. Received: gamma={gamma}")


def sigmoid_power(logits, exponent):
    """The sigmoid of the logits to a power, with a finite gradient."""
    return ops.exp(exponent * ops.log_sigmoid(logits))


@keras.saving.register_keras_serializable(package="keras_vtr")
class FocalTerm(SigmoidTerm):
    """Focal loss: what a query knows already counts little.

    Lin et al. 2017 (RetinaNet), equation 5: `-alpha (1 - p)^gamma log p` for
    the class of a query, `-(1 - alpha) p^gamma log(1 - p)` for the others and
    for queries without a target.

    Args:
        weight: Its weight in the loss.
        alpha: Weight of the classes that are there, in [0, 1].
        gamma: How little a class counts that is known, 0 or above.
        cost_weight: Its weight in the matching cost. Default: twice `weight`.
        name: Its name in the progress bar.
        class_weights: As of `LabelTerm`; the loss of a query's own class is
            multiplied, not that of the classes that it doesn't have.

    Raises:
        ValueError: If a number is out of its range; on call, if there are not
            K `class_weights`.
    """

    def cross_entropy_weights(self, logits, pairs):
        yes = self.alpha * sigmoid_power(-logits, self.gamma)
        return yes, 0.0, (1 - self.alpha) * sigmoid_power(logits, self.gamma)


@keras.saving.register_keras_serializable(package="keras_vtr")
class IoUAwareTerm(SigmoidTerm):
    """Cross-entropy whose target is how well the query's box fits.

    Cai et al. 2023 (Align-DETR), section 3.2, "IA-BCE", in the form of Robinson
    et al. 2025 (RF-DETR): the target of a query's own class is
    `t = p^alpha IoU^(1 - alpha)`, 0.01 at least, without gradient; classes that
    it doesn't have weigh `p^gamma`. So the score of a detection tells how good
    its box is, and of two queries for one object the better one scores higher.

    Args:
        weight: Its weight in the loss.
        alpha: Share of the probability in the target, in [0, 1]; it is also
            alpha of the focal cost.
        gamma: How little a class counts that is known to be absent; it is also
            gamma of the focal cost.
        cost_weight: Its weight in the matching cost. Default: twice `weight`.
        name: Its name in the progress bar.
        class_weights: As of `LabelTerm`; the loss of a query's own class is
            multiplied, not that of the classes that it doesn't have.

    Raises:
        ValueError: If a number is out of its range; on call, if there are not
            K `class_weights`.
    """

    def cross_entropy_weights(self, logits, pairs):
        overlap = iou(
            to_corners(pairs.y_pred["boxes"]), to_corners(pairs.y_true["boxes"])
        )[..., None]
        score = sigmoid_power(logits, self.alpha)
        target = score * overlap ** (1 - self.alpha)
        target = ops.stop_gradient(ops.maximum(target, 0.01))
        return target, 1 - target, sigmoid_power(logits, self.gamma)


def sigmoid_terms(label_weight=1.0, box_term=None, giou_weight=2.0):
    """The terms for a detector with `classifier="sigmoid"`.

    The weights of Robinson et al. 2025 (RF-DETR).

    Args:
        label_weight: Weight of the class in the loss, and half of its weight
            in the matching.
        box_term: Default: `BoxTerm()`; `RelativeBoxTerm()` for a detector with
            `RelativeRefinement`.
        giou_weight: Weight of the generalized IoU in loss and matching.

    Returns:
        A list for `HungarianLoss`.

    Raises:
        ValueError: If a weight is below 0.

    Example:

    >>> terms = keras_vtr.losses.sigmoid_terms(giou_weight=3.0)
    >>> print(terms[0].name, terms[0].cost_weight, terms[2].weight)
    label_loss 2.0 3.0
    """
    return [
        IoUAwareTerm(label_weight),
        BoxTerm() if box_term is None else box_term,
        GIoUTerm(giou_weight),
        ClassError(),
        CardinalityError(),
    ]
