"""Predictions and targets side by side."""

import dataclasses

from keras import ops

from keras_vtr.targets import check_keys
from keras_vtr.targets import check_target_shapes


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Which query answers for which target, in each of L decoder layers.

    Args:
        y_true: By its keys, what each query's target has, (B, L, Q, ...), and
            zeros for a query without one.
        y_pred: By their keys, the model's outputs, (B, L, Q, ...) float32,
            last layer last.
        matched: (B, L, Q) bool, True where a query has a target.
        idle: (B, L, Q) bool, True where it is to answer "no object".
        num_targets: (B,) float32, how many objects an image has.
        num_images, num_pairs, num_idle: float32 scalars, those of one layer in
            the whole batch, over all replicas of `tf.distribute`.
    """

    y_true: dict
    y_pred: dict
    matched: object
    idle: object
    num_targets: object
    num_images: object
    num_pairs: object
    num_idle: object


class Lazy(dict):
    """A dict that makes a value when it is first asked for.

    What a model or a data set gives beyond what the loss's terms read costs
    nothing and may have any shape.
    """

    def __init__(self, make):
        super().__init__()
        self._make = make

    def __missing__(self, key):
        self[key] = self._make(key)
        return self[key]


def standardize(y_true, y_pred):
    """Checks both sides; gives labels and boxes their types.

    Returns:
        Dicts of (B, M, ...) and of (B, L, Q, ...).
    """
    check_keys("y_true", y_true, ("boxes", "labels"))
    check_keys("y_pred", y_pred, ("boxes", "logits"))
    labels = ops.convert_to_tensor(y_true["labels"])
    boxes = ops.cast(y_true["boxes"], "float32")
    check_target_shapes(boxes.shape, labels.shape)
    # `Loss.__call__` turns labels into floats.
    labels = ops.cast(ops.round(ops.cast(labels, "float32")), "int32")
    targets = Lazy(lambda key: _given("y_true", y_true, key))
    targets.update(labels=labels, boxes=boxes)

    def layers(key):
        last = output(y_pred, key)[:, None]
        if not any(x.startswith("auxiliary_") for x in y_pred):
            return last
        earlier = output(y_pred, f"auxiliary_{key}")
        return ops.concatenate([earlier, last], axis=1)

    return targets, Lazy(layers)


def output(y_pred, key):
    """One output of the model, in float32."""
    values = ops.cast(_given("y_pred", y_pred, key), "float32")
    if key.endswith("boxes"):
        # No overflow in areas, whatever a user's head predicts.
        values = ops.clip(values, -1e9, 1e9)
    return values


def _given(name, value, key):
    check_keys(name, value, (key,))
    return ops.convert_to_tensor(value[key])
