"""Predictions and targets, aligned by query."""

import dataclasses

from keras import ops

from keras_vtr.targets import check_keys
from keras_vtr.targets import check_target_shapes


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Which query is trained on which target, in each of L decoder layers.

    Args:
        y_true: Dict of the targets of the queries, (B, L, Q, ...), zeros for a
            query without a target.
        y_pred: Dict of the model's outputs, (B, L, Q, ...) float32, last layer
            last.
        matched: (B, L, Q) bool, True where a query has a target.
        idle: (B, L, Q) bool, True where it must predict "no object".
        num_targets: (B,) float32, the number of objects of each image.
        num_images, num_pairs, num_idle: float32 scalars, counts of one layer in
            the batch, over all replicas of `tf.distribute`.
        targets: Optional dict of the targets in their own order, (B, T, ...),
            for terms over matched pairs alone, such as those of masks.
        assignment: Optional (B, L, T) int32, the query of each target, -1 for
            padding.
    """

    y_true: dict
    y_pred: dict
    matched: object
    idle: object
    num_targets: object
    num_images: object
    num_pairs: object
    num_idle: object
    targets: dict | None = None
    assignment: object = None

    def matched_predictions(self, key):
        """Predictions of the targets' queries, (B, L', T, ...), by one key.

        L' is less than L where only the last layers have this output. Only
        matched queries are read; the values of padding are arbitrary.
        """
        values = self.y_pred[key]  # (B, L', Q, ...)
        query = ops.maximum(self.assignment[:, -values.shape[1] :], 0)
        num_queries, rest = values.shape[2], ops.shape(values)[3:]
        num_rows = ops.shape(query)[0] * query.shape[1]
        first = ops.arange(num_rows, dtype="int32") * num_queries
        first = ops.reshape(first, (-1, query.shape[1], 1))
        values = ops.reshape(values, (-1, *rest))  # (B * L' * Q, ...)
        return ops.take(values, first + query, axis=0)


class Lazy(dict):
    """A dict that computes a value when it is first read.

    Keys of the model or the data set that no term reads cost nothing and may
    have any shape. The values are made of those of `source`.
    """

    def __init__(self, make, source):
        super().__init__()
        self._make = make
        self._source = source

    def __contains__(self, key):
        return key in self._source

    def __missing__(self, key):
        self[key] = self._make(key)
        return self[key]


def standardize_targets(y_true):
    """Checks `y_true`; returns a dict of (B, M, ...) tensors."""
    check_keys("y_true", y_true, ("labels",))
    labels = ops.convert_to_tensor(y_true["labels"])
    # `Loss.__call__` casts labels to floats (Keras 3.15).
    labels = ops.cast(ops.round(ops.cast(labels, "float32")), "int32")
    targets = Lazy(lambda key: _tensor("y_true", y_true, key), y_true)
    targets["labels"] = labels
    if "boxes" in y_true:  # a model of masks alone has none
        targets["boxes"] = ops.cast(y_true["boxes"], "float32")
        check_target_shapes(targets["boxes"].shape, labels.shape)
    return targets


def stack_layers(y_pred):
    """Checks `y_pred`; returns its outputs of all layers, (B, L, Q, ...)."""

    def stack(key):
        last = output(y_pred, key)[:, None]
        only_last = key == "masks" and "auxiliary_masks" not in y_pred
        if only_last or not any(x.startswith("auxiliary_") for x in y_pred):
            return last
        earlier = output(y_pred, f"auxiliary_{key}")
        return ops.concatenate([earlier, last], axis=1)

    return Lazy(stack, y_pred)


def with_prefix(y_pred, prefix, change=lambda values: values):
    """The outputs of further queries, by their keys without the prefix."""
    keys = {x.removeprefix(prefix) for x in y_pred if x.startswith(prefix)}
    return Lazy(lambda key: change(output(y_pred, prefix + key)), keys)


def output(y_pred, key):
    """One output of the model, in float32."""
    values = ops.cast(_tensor("y_pred", y_pred, key), "float32")
    if key.endswith("boxes"):
        # So that areas can't overflow, whatever a user's head predicts.
        values = ops.clip(values, -1e9, 1e9)
    return values


def gather_targets(y_true, target, matched):
    """The `y_true` of `Pairs`.

    Args:
        y_true: Dict of (B, M, ...) tensors.
        target: (B, L, Q) int32, the index of each query's target.
        matched: (B, L, Q) bool, whether it has one.
    """

    def gather(key):
        values = y_true[key]  # (B, M, ...)
        rest = (None,) * (len(values.shape) - 2)
        # One more target, since M may be 0 and a gather needs a row.
        edges = ((0, 0), (0, 1), *[(0, 0)] * len(rest))
        values = ops.pad(values, edges)[:, None]
        values = ops.take_along_axis(values, target[(..., *rest)], axis=2)
        return ops.where(matched[(..., *rest)], values, ops.zeros_like(values))

    return Lazy(gather, y_true)


def _tensor(name, value, key):
    check_keys(name, value, (key,))
    return ops.convert_to_tensor(value[key])
