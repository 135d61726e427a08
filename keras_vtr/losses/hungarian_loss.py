"""The loss of a detector whose queries are trained as a set."""

import keras
from keras import ops

from keras_vtr.losses.denoising import denoise
from keras_vtr.losses.detr_terms import detr_terms
from keras_vtr.losses.matching import match
from keras_vtr.losses.pairs import standardize
from keras_vtr.losses.terms import Term
from keras_vtr.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="keras_vtr")
class HungarianLoss(keras.losses.Loss):
    """Matches queries to true boxes one to one, then compares the pairs.

    Carion et al. 2020 (DETR), section 3.1, equations 1 and 2, and appendix
    A.2. Each decoder layer is matched and supervised by itself. A matched
    query is to give the class and the box of its target, every other one "no
    object", and this makes non-maximum suppression needless. Of the terms,
    `detr_terms` are the default:

    - `label_loss`: weighted mean cross-entropy of all queries, those without
      a target weighing `no_object_weight`.
    - `box_loss`: L1 distance of the relative boxes, summed over the four
      numbers, divided by the number of true boxes.
    - `giou_loss`: 1 - generalized IoU, divided by the number of true boxes.
    - `class_error`, the percentage of matched queries whose class is wrong,
      and `cardinality_error`, by how many the number of detected objects is
      off, on average over the images: of weight 0, only to be looked at.

    Normalizers count the whole batch, over all replicas under
    `tf.distribute`. Everything is computed in float32 under every dtype
    policy. The loss is finite for finite predictions and bit-equal whatever
    the amount of padding and the order of the targets: the sums run over
    queries. Use it with `keras_vtr.models.DetectionModel`, which shows the
    terms in the progress bar.

    Args:
        terms: Optional list of `keras_vtr.losses.Term`, such as
            `[*detr_terms(label_weight=2.0), MyTerm("mine")]`. Default:
            `detr_terms()`.

    Call arguments:
        y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh` in [0, 1], and
            `"labels"` (B, M) int, 0..K-1, -1 for padding. M <= Q. What else
            the terms read, (B, M, ...).
        y_pred: Dict with `"logits"` (B, Q, K + 1) and `"boxes"` (B, Q, 4) of
            the last decoder layer and, optionally, `"auxiliary_logits"`
            (B, L-1, Q, K + 1) and `"auxiliary_boxes"` (B, L-1, Q, 4) of the
            layers before it; from `keras_vtr.models.add_denoising` also
            `"denoising_logits"` and `"denoising_boxes"`. What else the terms
            read likewise, (B, Q, ...).

    Returns:
        The loss, a float32 scalar: weighted terms, summed over the layers.
        Under `tf.distribute`, this replica's share of it.

    Raises:
        ValueError: If the terms aren't terms of different names, none of which
            costs something in the matching, a key is missing, a shape doesn't
            fit, or there are more targets than queries.

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

    def __init__(self, terms=None, name="hungarian_loss", dtype="float32"):
        super().__init__(name=name, reduction="sum", dtype=dtype)
        self.terms = detr_terms() if terms is None else _checked(terms)

    @property
    def term_names(self):
        """Those of the terms, in their order, for the progress bar."""
        return [term.name for term in self.terms]

    def call(self, y_true, y_pred):
        return self.total(self.term_values(y_true, y_pred))

    def total(self, values):
        """The loss, a scalar, from what `term_values` returned."""
        return sum(
            ops.sum(
                sum(
                    term.weight * values[_name(source, term)]
                    for term in self.terms
                    if term.weight
                )
            )
            for source in ("", "denoising")
            if any(_name(source, term) in values for term in self.terms)
        )

    def term_values(self, y_true, y_pred):
        """The terms, not yet weighted, by name.

        Returns:
            Dict of (L,) vectors, last layer last; with denoising also
            `"denoising_label_loss"` and so on of those that have a weight.
        """
        y_true, layers = standardize(y_true, y_pred)
        num_images, num_targets = _count(y_true["labels"])
        pairs = match(self.terms, y_true, layers, num_images, num_targets)
        values = _values("", self.terms, pairs)
        if "denoising_boxes" in y_pred:
            pairs = denoise(y_true, y_pred, num_images, num_targets)
            terms = [term for term in self.terms if term.weight]
            values |= _values("denoising", terms, pairs)
        return values

    def get_config(self):
        terms = [keras.saving.serialize_keras_object(x) for x in self.terms]
        return {"terms": terms, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        terms = keras.saving.deserialize_keras_object(config["terms"])
        return cls(**{**config, "terms": terms})


def _checked(terms):
    terms = list(terms) if isinstance(terms, (list, tuple)) else terms
    if not isinstance(terms, list) or not all(
        isinstance(term, Term) for term in terms
    ):
        raise ValueError(
            "`terms` must be a list of keras_vtr.losses.Term objects, such as "
            f"detr_terms(label_weight=2.0). Received: terms={terms!r:.200}"
        )
    for term in terms:
        kind = type(term)
        if kind.distance is Term.distance and kind.sums is Term.sums:
            raise ValueError(
                f"The term {term.name!r} must have a `distance`: a subclass of "
                f"keras_vtr.losses.Term defines it. Received: {kind.__name__}"
            )
    names = [term.name for term in terms]
    if len(set(names)) < len(names):
        raise ValueError(
            "`terms` must have different names; give one of them another "
            f"`name`. Received: {names}"
        )
    if not any(term.cost_weight for term in terms):
        raise ValueError(
            "At least one term must have a `cost_weight` above 0, because "
            f"queries are matched by the terms' costs. Received: {names}"
        )
    return terms


def _name(source, term):
    return f"{source}_{term.name}" if source else term.name


def _count(labels):
    """Images and targets of the whole batch, over all replicas."""
    num_targets = ops.sum(ops.cast(labels >= 0, "float32"), axis=1)  # (B,)
    num_images = ops.sum(ops.ones_like(num_targets))
    counts = ops.stack([num_images, ops.sum(num_targets)])
    return ops.unstack(sum_over_replicas(counts), num=2)


def _values(source, terms, pairs):
    return {  # without boxes, 0 / 0 is 0
        _name(source, term): ops.divide_no_nan(
            term.sums(pairs), term.normalizer(pairs)
        )
        for term in terms
    }
