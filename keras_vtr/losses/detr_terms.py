"""The terms of DETR's loss."""

import keras
from keras import ops

from keras_vtr.box_ops import generalized_iou
from keras_vtr.box_ops import relative_moves
from keras_vtr.box_ops import to_corners
from keras_vtr.classifiers import SOFTMAX
from keras_vtr.losses.class_weights import check_class_weights
from keras_vtr.losses.class_weights import num_weighted_pairs
from keras_vtr.losses.class_weights import weights_of_pairs
from keras_vtr.losses.logged_terms import CardinalityError
from keras_vtr.losses.logged_terms import ClassError
from keras_vtr.losses.terms import Term
from keras_vtr.losses.terms import broadcast_pairs


@keras.saving.register_keras_serializable(package="keras_vtr")
class LabelTerm(Term):
    """Cross-entropy of the classes and "no object", over all queries.

    Carion et al. 2020 (DETR), section 3.1, equations 1 and 2: the cost is the
    negative probability of the target's class; the loss is a weighted mean.

    Args:
        weight: Its weight in the loss.
        no_object_weight: Weight of a query without a target, in (0, 1]. Most
            queries have none and would dominate the mean.
        cost_weight: Its weight in the matching cost. Default: `weight`.
        name: Its name in the progress bar.
        class_weights: Optional K numbers above 0. The loss of a query with a
            target is multiplied by the number of the target's class, and pairs
            are counted by it in the normalizer: a weighted mean.

    Raises:
        ValueError: If a weight is out of its range; on call, if there are not
            K `class_weights`.
    """

    classifier = SOFTMAX

    def __init__(
        self,
        weight=1.0,
        no_object_weight=0.1,
        cost_weight=None,
        name="label_loss",
        *,
        class_weights=None,
    ):
        super().__init__(name, weight, cost_weight)
        if not 0 < no_object_weight <= 1:
            raise ValueError(
                "`no_object_weight` must be in (0, 1]. Received: "
                f"no_object_weight={no_object_weight}"
            )
        self.no_object_weight = no_object_weight
        self.class_weights = check_class_weights(class_weights)

    def cost(self, y_true, y_pred):
        probabilities = ops.softmax(y_pred["logits"], axis=-1)
        labels = y_true["labels"][:, None, None, :]  # (B, 1, 1, M)
        labels = ops.where(labels < 0, 0, labels)
        probability = ops.take_along_axis(probabilities, labels, axis=-1)
        return -ops.transpose(probability, (0, 1, 3, 2))  # (B, L, M, Q)

    def sums(self, pairs):
        logits = pairs.y_pred["logits"]
        labels = pairs.y_true["labels"]
        labels = ops.where(pairs.matched, labels, logits.shape[-1] - 1)
        log_probability = ops.take_along_axis(
            ops.log_softmax(logits, axis=-1), labels[..., None], axis=-1
        )[..., 0]
        log_probability = ops.maximum(log_probability, -1e30)
        weight = ops.zeros_like(log_probability)
        weight = ops.where(pairs.idle, self.no_object_weight, weight)
        own = weights_of_pairs(self.class_weights, pairs, logits.shape[-1] - 1)
        weight = ops.where(pairs.matched, own, weight)
        return -ops.sum(weight * log_probability, axis=(0, 2))

    def normalizer(self, pairs):
        num_classes = pairs.y_pred["logits"].shape[-1] - 1
        num = num_weighted_pairs(self.class_weights, pairs, num_classes)
        return num + self.no_object_weight * pairs.num_idle

    def get_config(self):
        config = {
            "no_object_weight": self.no_object_weight,
            "class_weights": self.class_weights,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_vtr")
class BoxTerm(Term):
    """L1 distance of the relative boxes, summed over the four coordinates.

    Carion et al. 2020 (DETR), section 3.1, "bounding box loss".

    Args:
        weight: Its weight in the loss.
        cost_weight: Its weight in the matching cost. Default: `weight`.
        name: Its name in the progress bar.

    Raises:
        ValueError: If a weight is below 0.
    """

    def __init__(self, weight=5.0, cost_weight=None, name="box_loss"):
        super().__init__(name, weight, cost_weight)

    def distance(self, y_true, y_pred):
        return ops.sum(ops.abs(y_pred["boxes"] - y_true["boxes"]), axis=-1)


@keras.saving.register_keras_serializable(package="keras_vtr")
class RelativeBoxTerm(Term):
    """L1 distance of boxes, in units of the box that the layer started from.

    Lin et al. 2023 ("DETR Does Not Need Multi-Scale or Locality Design"),
    section 4.3, "box reparameterization": a pixel counts more on a small box
    than on a large one. It reads `"reference_boxes"` of the model's outputs,
    from `AnchorDecoder`, and suits its `RelativeRefinement`.

    Args:
        weight: Its weight in the loss.
        cost_weight: Its weight in the matching cost. Default: `weight`.
        name: Its name in the progress bar.

    Raises:
        ValueError: If a weight is below 0; on call, if there are no
            `"reference_boxes"`.
    """

    def __init__(self, weight=1.0, cost_weight=None, name="box_loss"):
        super().__init__(name, weight, cost_weight)

    def distance(self, y_true, y_pred):
        if "reference_boxes" not in y_pred:
            raise ValueError(
                f"The term {self.name!r} must get 'reference_boxes', which "
                'build_detr(queries="anchors") and "selected" return. Use '
                "BoxTerm with other models. Received: no 'reference_boxes'"
            )
        references = y_pred["reference_boxes"]
        predicted = relative_moves(references, y_pred["boxes"])
        true = relative_moves(references, y_true["boxes"])
        return ops.sum(ops.abs(predicted - true), axis=-1)


@keras.saving.register_keras_serializable(package="keras_vtr")
class GIoUTerm(Term):
    """1 - generalized IoU of the boxes; its negative is the cost.

    Rezatofighi et al. 2019, algorithm 1; Carion et al. 2020 (DETR), section
    3.1, "bounding box loss". The arguments as in `BoxTerm`.
    """

    def __init__(self, weight=2.0, cost_weight=None, name="giou_loss"):
        super().__init__(name, weight, cost_weight)

    def distance(self, y_true, y_pred):
        return 1.0 - _generalized_iou(y_true, y_pred)

    def cost(self, y_true, y_pred):
        return -_generalized_iou(*broadcast_pairs(y_true, y_pred))


def detr_terms(
    label_weight=1.0, box_weight=5.0, giou_weight=2.0, no_object_weight=0.1
):
    """The terms of DETR's loss, and those of its logs.

    Carion et al. 2020 (DETR), section 3.1 and appendix A.4.

    Args:
        label_weight: Weight of the class in the matching and in the loss.
        box_weight: Weight of the L1 distance in both.
        giou_weight: Weight of the generalized IoU in both.
        no_object_weight: Weight of a query without a target in `label_loss`.

    Returns:
        A list for `HungarianLoss`.

    Raises:
        ValueError: If a weight is out of its range.

    Example:

    >>> terms = keras_vtr.losses.detr_terms(label_weight=2.0)
    >>> print(terms[0].name, terms[0].weight)
    label_loss 2.0
    """
    return [
        LabelTerm(label_weight, no_object_weight),
        BoxTerm(box_weight),
        GIoUTerm(giou_weight),
        ClassError(),
        CardinalityError(),
    ]


def _generalized_iou(y_true, y_pred):
    return generalized_iou(
        to_corners(y_pred["boxes"]), to_corners(y_true["boxes"])
    )
