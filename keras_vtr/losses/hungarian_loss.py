"""The loss of a detector whose queries are trained as a set."""

import keras
from keras import ops

from keras_vtr.losses.arguments import check_classifier
from keras_vtr.losses.arguments import check_pairings
from keras_vtr.losses.arguments import check_terms
from keras_vtr.losses.arguments import check_weights
from keras_vtr.losses.denoising import denoise
from keras_vtr.losses.detr_terms import detr_terms
from keras_vtr.losses.matching import match
from keras_vtr.losses.matching import match_groups
from keras_vtr.losses.pairs import standardize_targets
from keras_vtr.replicas import sum_over_replicas

# Each adds nothing if the model has no outputs for it.
BUILT_IN = {"": match, "denoising": denoise, "group": match_groups}


@keras.saving.register_keras_serializable(package="keras_vtr")
class HungarianLoss(keras.losses.Loss):
    """Matches queries to true boxes one to one, and compares the pairs.

    Carion et al. 2020 (DETR), section 3.1, equations 1 and 2, and appendix
    A.2. Each decoder layer is matched and supervised separately. A matched
    query must predict the class and the box of its target, every other query
    "no object"; this makes non-maximum suppression needless. The default
    terms are `detr_terms`: `label_loss`, the weighted mean over all queries;
    `box_loss` and `giou_loss`, sums over the pairs divided by the number of
    true boxes; and `class_error` and `cardinality_error`, only logged.

    Normalizers count the complete batch, over all replicas under
    `tf.distribute`. Everything is computed in float32 under every dtype
    policy. The loss is finite for finite predictions, and bit-equal for any
    amount of padding and any order of the targets, because the sums run over
    queries. Use it with `keras_vtr.models.DetectionModel`, which shows the
    terms in the progress bar.

    Args:
        terms: Optional list of `keras_vtr.losses.Term`, such as
            `[*detr_terms(label_weight=2.0), MyTerm("mine")]`. Default:
            `detr_terms()`.
        pairings: Optional dict of further pairings, such as one-to-many groups:
            from a name, the prefix of their values, to a function
            `(terms, y_true, y_pred, num_images, num_targets)` that returns
            `keras_vtr.losses.Pairs`, or None to add nothing. Its terms with a
            weight are added to the loss. Register the function with
            `keras.saving.register_keras_serializable`.
        pairing_weights: Optional dict of the weights of pairings, 1 for those
            that it doesn't name: "" for the object queries, "denoising",
            "group", and names of `pairings`.

    Call arguments:
        y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh` in [0, 1], and
            `"labels"` (B, M) int, 0..K-1, -1 for padding. M <= Q. Further keys
            that the terms read, (B, M, ...).
        y_pred: Dict with `"logits"` (B, Q, K + 1), or with `sigmoid_terms`
            `"sigmoid_logits"` (B, Q, K), and `"boxes"` (B, Q, 4) of the last
            decoder layer and, optionally, both with the prefix `auxiliary_`,
            (B, L-1, Q, ...), of the layers before it; with `denoising_` from
            `keras_vtr.models.add_denoising`, with `group_` from `add_groups`.
            Further keys that the terms read, with the same prefixes;
            `"auxiliary_masks"` may miss, or be of the last layers alone. Where
            no term reads `"boxes"`, neither side needs them.

    Returns:
        The loss, a float32 scalar: weighted terms, summed over the layers.
        Under `tf.distribute`, this replica's share of it.

    Raises:
        ValueError: If `terms` are no terms of different names, or none has a
            cost in the matching, `pairings` is no dict of functions, a key is
            missing, a shape doesn't fit, or there are more targets than
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
        terms=None,
        name="hungarian_loss",
        dtype="float32",
        *,
        pairings=None,
        pairing_weights=None,
    ):
        super().__init__(name=name, reduction="sum", dtype=dtype)
        self.terms = detr_terms() if terms is None else check_terms(terms)
        self.pairings = check_pairings(pairings, BUILT_IN, self.term_names)
        self._pairings = {**BUILT_IN, **self.pairings}
        self.pairing_weights = check_weights(pairing_weights, self._pairings)

    @property
    def term_names(self):
        """The names of the terms, in their order, for the progress bar."""
        return [term.name for term in self.terms]

    def call(self, y_true, y_pred):
        return self.total(self.term_values(y_true, y_pred))

    def total(self, values):
        """The loss, a scalar, from the result of `term_values`."""
        weighted = [
            (_join(name, term), self.pairing_weights.get(name, 1) * term.weight)
            for name in self._pairings
            for term in self.terms
            if term.weight
        ]
        return sum(
            weight * ops.sum(values[name])
            for name, weight in weighted
            if name in values
        )

    def term_values(self, y_true, y_pred):
        """The terms, not yet weighted, by name.

        Returns:
            Dict of (L,) vectors, last layer last; L counts the selection of
            queries as a layer, and each layer of each group. Each pairing
            besides the matching adds the terms that have a weight, under its
            name, such as `"denoising_label_loss"`.
        """
        y_true = standardize_targets(y_true)
        check_classifier(self.terms, y_pred)
        counts = _count(y_true["labels"])
        values = {}
        for name, pairing in self._pairings.items():
            pairs = pairing(self.terms, y_true, y_pred, *counts)
            for term in self.terms if pairs is not None else ():
                is_read = term.weight and all(
                    key in pairs.y_pred for key in term.needs
                )
                if is_read or not name:  # without boxes, 0 / 0 is 0
                    values[_join(name, term)] = ops.divide_no_nan(
                        term.sums(pairs), term.normalizer(pairs)
                    )
        return values

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "terms": [serialize(term) for term in self.terms],
            "name": self.name,
            "dtype": self.dtype,
            "pairings": {key: serialize(x) for key, x in self.pairings.items()},
            "pairing_weights": self.pairing_weights,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        parts = {key: deserialize(config[key]) for key in ("terms", "pairings")}
        return cls(**{**config, **parts})


def _join(pairing, term):
    return f"{pairing}_{term.name}" if pairing else term.name


def _count(labels):
    """Number of images and targets of the batch, over all replicas."""
    num_targets = ops.sum(ops.cast(labels >= 0, "float32"), axis=1)  # (B,)
    num_images = ops.sum(ops.ones_like(num_targets))
    counts = ops.stack([num_images, ops.sum(num_targets)])
    return ops.unstack(sum_over_replicas(counts), num=2)
