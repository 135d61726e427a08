"""The base class of the terms of a detector's loss."""

import keras
from keras import ops

from keras_vtr.losses.pairs import Lazy
from keras_vtr.targets import is_same_shape


@keras.saving.register_keras_serializable(package="keras_vtr")
class Term:
    """One term of `HungarianLoss`: a distance of a query from a target.

    Your own term is a subclass with a `distance`, which is used both in the
    matching and in the loss:

    >>> @keras.saving.register_keras_serializable(package="mine")
    ... class AreaTerm(keras_vtr.losses.Term):
    ...     def distance(self, y_true, y_pred):
    ...         area, other = (
    ...             keras.ops.prod(y["boxes"][..., 2:], axis=-1)
    ...             for y in (y_true, y_pred)
    ...         )
    ...         return keras.ops.abs(area - other)
    >>> terms = [AreaTerm("area_loss", weight=3.0)]
    >>> terms += keras_vtr.losses.detr_terms(label_weight=2.0)
    >>> loss = keras_vtr.losses.HungarianLoss(terms)
    >>> print(loss.term_names[:3])
    ['area_loss', 'label_loss', 'box_loss']

    Override `cost` if all pairs of targets and queries can be computed at less
    expense, `sums` and `normalizer` if the term is not a mean over the pairs.

    Args:
        name: Its name in the progress bar.
        weight: Its weight in the loss; 0 if it is only logged.
        cost_weight: Its weight in the matching cost. Default: `weight`.

    Raises:
        ValueError: If the name is no string or "loss", or a weight is below 0.
    """

    classifier = None  # the kind of classifier whose logits it reads, if any
    # Outputs without which it leaves further pairings out, such as denoising.
    needs = ()

    def __init__(self, name, weight=1.0, cost_weight=None):
        if not isinstance(name, str) or name in ("", "loss"):
            raise ValueError(
                "`name` must be a text, and not 'loss', the sum of all terms. "
                f"Received: name={name!r}"
            )
        for key, value in (("weight", weight), ("cost_weight", cost_weight)):
            if value is not None and not value >= 0:
                raise ValueError(
                    f"`{key}` of {name!r} must be 0 or above. "
                    f"Received: {key}={value}"
                )
        self.name = name
        self.weight = weight
        self.cost_weight = weight if cost_weight is None else cost_weight

    def distance(self, y_true, y_pred):
        """The distance of predictions from targets.

        Args:
            y_true: Dict of targets by the keys of the loss's `y_true`,
                (B, 1, M, 1, ...) in the matching, (B, L, Q, ...) in the loss.
            y_pred: Dict of predictions by the keys of the loss's `y_pred`,
                (B, L, 1, Q, ...) in the matching, (B, L, Q, ...) in the loss.

        Returns:
            Float32, (B, L, M, Q) and (B, L, Q).
        """
        raise NotImplementedError

    def cost(self, y_true, y_pred):
        """The cost of matching a target and a query. Default: the distance.

        Args:
            y_true: Dict of targets, (B, M, ...) each.
            y_pred: Dict of predictions, (B, L, Q, ...) each.

        Returns:
            (B, L, M, Q) float32. Rows of padding targets are undefined.
        """
        return self.distance(*broadcast_pairs(y_true, y_pred))

    def sums(self, pairs):
        """(L,), the sum over the `Pairs` of each decoder layer."""
        distance = self.distance(pairs.y_true, pairs.y_pred)
        check_shape(self, "distance", distance, pairs.matched.shape)
        return ops.sum(ops.where(pairs.matched, distance, 0.0), axis=(0, 2))

    def normalizer(self, pairs):
        """The scalar that the sums are divided by."""
        return pairs.num_pairs

    def get_config(self):
        return {
            "name": self.name,
            "weight": self.weight,
            "cost_weight": self.cost_weight,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def broadcast_pairs(y_true, y_pred):
    """Targets (B, 1, M, 1, ...) and predictions (B, L, 1, Q, ...)."""
    return (
        Lazy(lambda key: y_true[key][:, None, :, None], y_true),
        Lazy(lambda key: y_pred[key][:, :, None], y_pred),
    )


def check_shape(term, method, values, shape):
    """Checks the shape of what a user's term returns."""
    found = tuple(values.shape)
    if not is_same_shape(found, shape):
        raise ValueError(
            f"`{method}` of the term {term.name!r} must return the shape "
            f"{tuple(shape)}: a number for each pair of a query and a target. "
            f"Received: {found}"
        )
