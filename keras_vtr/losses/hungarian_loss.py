"""The loss of a detector whose queries are trained as a set."""

import keras
from keras import ops

from keras_vtr.losses.denoising import denoising_sums
from keras_vtr.losses.matching import assign
from keras_vtr.losses.matching import pairwise_cost
from keras_vtr.losses.pairs import box_sums
from keras_vtr.losses.pairs import standardize
from keras_vtr.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="keras_vtr")
class HungarianLoss(keras.losses.Loss):
    """Matches queries to true boxes one to one, then compares the pairs.

    Carion et al. 2020 (DETR), section 3.1, equations 1 and 2, and appendix
    A.2. Each decoder layer is matched and supervised by itself. A matched
    query is to give the class and the box of its target, every other one "no
    object", and this is what makes non-maximum suppression needless. The
    terms of a layer:

    - `label_loss`: weighted mean cross-entropy of all queries, those without
      a target weighing `no_object_weight`.
    - `box_loss`: L1 distance of the relative boxes, summed over the four
      numbers, divided by the number of true boxes.
    - `giou_loss`: 1 - generalized IoU, divided by the number of true boxes.

    Normalizers count the whole batch, over all replicas under
    `tf.distribute`. Everything is computed in float32 under every dtype
    policy. The loss is finite for finite predictions and bit-equal whatever
    the amount of padding and the order of the targets: the sums run over
    queries. Use it with `keras_vtr.models.DetectionModel`, which shows the
    terms in the progress bar.

    Args:
        label_weight: Weight of the class in the matching and in the loss.
        box_weight: Weight of the L1 distance in both.
        giou_weight: Weight of the generalized IoU in both.
        no_object_weight: Weight of a query without target in `label_loss`, in
            (0, 1]. They are the many; at 1 they would drown the few.

    Call arguments:
        y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh` in [0, 1], and
            `"labels"` (B, M) int, 0..K-1, -1 for padding. M <= Q.
        y_pred: Dict with `"logits"` (B, Q, K + 1) and `"boxes"` (B, Q, 4) of
            the last decoder layer and, optionally, `"auxiliary_logits"`
            (B, L-1, Q, K + 1) and `"auxiliary_boxes"` (B, L-1, Q, 4) of the
            layers before it; from `keras_vtr.models.add_denoising` also
            `"denoising_logits"` and `"denoising_boxes"`.

    Returns:
        The loss, a float32 scalar: weighted terms, summed over the layers.
        Under `tf.distribute`, this replica's share of it.

    Raises:
        ValueError: If a weight is out of its range, a key is missing or
            unknown, a shape doesn't fit, or there are more targets than
            queries.

    Example:

    >>> y_true = {
    ...     "boxes": keras.ops.array([[[0.5, 0.5, 0.2, 0.2]]]),
    ...     "labels": keras.ops.array([[2]]),
    ... }
    >>> y_pred = {
    ...     "boxes": keras.ops.array([[[0.5, 0.5, 0.2, 0.2]]]),
    ...     "logits": keras.ops.array([[[0.0, 0.0, 50.0, 0.0]]]),
    ... }
    >>> print(float(keras_vtr.losses.HungarianLoss()(y_true, y_pred)))
    0.0
    """

    def __init__(
        self,
        label_weight=1.0,
        box_weight=5.0,
        giou_weight=2.0,
        no_object_weight=0.1,
        name="hungarian_loss",
        dtype="float32",
    ):
        super().__init__(name=name, reduction="sum", dtype=dtype)
        for key, weight in (
            ("label_weight", label_weight),
            ("box_weight", box_weight),
            ("giou_weight", giou_weight),
        ):
            if not weight >= 0:
                raise ValueError(
                    f"`{key}` must be 0 or above. Received: {key}={weight}"
                )
        if not 0 < no_object_weight <= 1:
            raise ValueError(
                "`no_object_weight` must be in (0, 1]. Received: "
                f"no_object_weight={no_object_weight}"
            )
        self.label_weight = label_weight
        self.box_weight = box_weight
        self.giou_weight = giou_weight
        self.no_object_weight = no_object_weight

    def call(self, y_true, y_pred):
        return self.total(self.terms(y_true, y_pred))

    def total(self, terms):
        """The loss, a scalar, from what `terms` returned."""
        return sum(
            ops.sum(
                self.label_weight * terms[f"{prefix}label_loss"]
                + self.box_weight * terms[f"{prefix}box_loss"]
                + self.giou_weight * terms[f"{prefix}giou_loss"]
            )
            for prefix in ("", "denoising_")
            if f"{prefix}label_loss" in terms
        )

    def terms(self, y_true, y_pred):
        """The parts of the loss, each an (L,) vector, last layer last.

        Returns:
            Dict with `"label_loss"`, `"box_loss"` and `"giou_loss"`, not yet
            weighted, with denoising also `"denoising_label_loss"` and so on,
            and two measures that are only for looking at, as in
            DETR's logs: `"class_error"`, the percentage of matched queries
            whose class is wrong, and `"cardinality_error"`, by how many the
            number of detected objects is off, on average over the images.
        """
        y_true, y_pred = standardize(y_true, y_pred)
        is_target = y_true["labels"] >= 0  # (B, M)
        matched, labels, boxes = self._pair(y_true, y_pred, is_target)
        num_targets = ops.sum(ops.cast(is_target, "float32"), axis=1)  # (B,)
        num_images, num_boxes = ops.unstack(
            sum_over_replicas(
                ops.stack([_count(num_targets), ops.sum(num_targets)])
            ),
            num=2,
        )
        num_queries = ops.cast(ops.shape(y_pred["boxes"])[2], "float32")
        num_idle = num_images * num_queries - num_boxes
        sums = {
            **self._label_sums(y_pred["logits"], matched, labels, num_targets),
            **box_sums(y_pred["boxes"], matched, boxes),
        }
        normalizers = {
            "label_loss": num_boxes + self.no_object_weight * num_idle,
            "box_loss": num_boxes,
            "giou_loss": num_boxes,
            "class_error": num_boxes / 100,
            "cardinality_error": num_images,
        }
        if "denoising_logits" in y_pred:
            more, number = denoising_sums(y_true, y_pred)
            sums |= more
            normalizers |= dict.fromkeys(more, num_boxes * number)
        return {  # without boxes, 0 / 0 is 0
            name: ops.divide_no_nan(sums[name], normalizers[name])
            for name in normalizers
        }

    def _pair(self, y_true, y_pred, is_target):
        """What each query is to answer, by the optimal assignment.

        Returns:
            `matched` (B, L, Q) bool, `labels` (B, L, Q) with K for "no
            object", and `boxes` (B, L, Q, 4), zeros for "no object".
        """
        num_layers, num_queries, num_logits = ops.shape(y_pred["logits"])[1:]
        weights = self.label_weight, self.box_weight, self.giou_weight
        cost = pairwise_cost(y_true, y_pred, *weights)  # (B, L, M, Q)
        num_images, num_targets = ops.shape(is_target)
        num_problems = num_images * num_layers
        is_target = ops.repeat(is_target, num_layers, axis=0)
        assignment = assign(
            ops.reshape(cost, (num_problems, num_targets, num_queries)),
            is_target,
        )  # (B * L, M)
        assignment = ops.reshape(
            assignment, (num_images, num_layers, num_targets, 1)
        )
        queries = ops.arange(num_queries, dtype="int32")
        answers = ops.equal(assignment, queries)  # (B, L, M, Q)
        matched = ops.any(answers, axis=2)
        target = ops.arange(num_targets, dtype="int32")[:, None]
        target = target * ops.cast(answers, "int32")
        target = ops.sum(target, axis=2)  # (B, L, Q), 0 if not matched
        # One more target, because there may be none to gather from.
        labels = ops.pad(y_true["labels"], ((0, 0), (0, 1)))
        boxes = ops.pad(y_true["boxes"], ((0, 0), (0, 1), (0, 0)))
        labels = ops.take_along_axis(labels[:, None], target, axis=2)
        boxes = ops.take_along_axis(boxes[:, None], target[..., None], axis=2)
        labels = ops.where(matched, labels, num_logits - 1)
        return matched, labels, ops.where(matched[..., None], boxes, 0.0)

    def _label_sums(self, logits, matched, labels, num_targets):
        log_probability = ops.take_along_axis(
            ops.log_softmax(logits, axis=-1), labels[..., None], axis=-1
        )[..., 0]
        log_probability = ops.maximum(log_probability, -1e30)
        ones = ops.ones_like(log_probability)
        weight = ops.where(matched, ones, self.no_object_weight)
        predicted = ops.cast(ops.argmax(logits, axis=-1), labels.dtype)
        is_wrong = ops.logical_and(matched, ops.not_equal(predicted, labels))
        is_object = predicted != logits.shape[-1] - 1
        num_objects = ops.sum(ops.cast(is_object, "float32"), axis=2)
        return {
            "label_loss": -ops.sum(weight * log_probability, axis=(0, 2)),
            "class_error": ops.sum(ops.cast(is_wrong, "float32"), axis=(0, 2)),
            "cardinality_error": ops.sum(
                ops.abs(num_objects - num_targets[:, None]), axis=0
            ),
        }

    def get_config(self):
        return {
            "label_weight": self.label_weight,
            "box_weight": self.box_weight,
            "giou_weight": self.giou_weight,
            "no_object_weight": self.no_object_weight,
            "name": self.name,
            "dtype": self.dtype,
        }


def _count(x):
    return ops.sum(ops.ones_like(x))
