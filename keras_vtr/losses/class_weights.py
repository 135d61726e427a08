"""How much each class counts in a label term."""

import math

from keras import ops

from keras_vtr.replicas import sum_over_replicas


def check_class_weights(class_weights):
    """A tuple of weights, or None.

    Raises:
        ValueError: If they are no finite numbers above 0.
    """
    if class_weights is None:
        return None
    weights = tuple(float(weight) for weight in class_weights)
    if not weights or not all(0 < x < math.inf for x in weights):
        raise ValueError(
            "`class_weights` must have a number above 0 for each class. "
            f"Received: class_weights={class_weights}"
        )
    return weights


def weights_of_pairs(class_weights, pairs, num_classes):
    """The weight of each query's own class, (B, L, Q) float32.

    Args:
        class_weights: Tuple, or None.
        pairs: The `Pairs`.
        num_classes: K.

    Raises:
        ValueError: If there are not K weights.
    """
    if class_weights is None:
        return ops.ones_like(pairs.matched, dtype="float32")
    if len(class_weights) != num_classes:
        raise ValueError(
            f"`class_weights` must have {num_classes} numbers, one for each "
            f"class. Received: {len(class_weights)}"
        )
    weights = ops.convert_to_tensor(class_weights, "float32")
    labels = ops.where(pairs.matched, pairs.y_true["labels"], 0)
    return ops.take(weights, labels, axis=0)


def num_weighted_pairs(class_weights, pairs, num_classes):
    """The number of pairs, each counted by its class's weight.

    All layers have the same targets, so one of them gives the mean weight.
    """
    if class_weights is None:
        return pairs.num_pairs
    weights = weights_of_pairs(class_weights, pairs, num_classes)
    matched = pairs.matched[:, -1]
    ones = ops.cast(matched, "float32")
    sums = ops.stack([ops.sum(ones * weights[:, -1]), ops.sum(ones)])
    total, count = ops.unstack(sum_over_replicas(sums), num=2)
    return pairs.num_pairs * ops.divide_no_nan(total, count)
