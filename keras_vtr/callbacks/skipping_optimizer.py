"""An optimizer that skips steps whose gradients are not finite."""

import keras
from keras import ops

from keras_vtr.replicas import sum_over_replicas

# What `SkippingOptimizer.counts` holds, in this order.
COUNTS = ("steps", "skipped", "in_a_row", "longest", "longest_at")


class SkippingOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras's `LossScaleOptimizer` that counts what it skips.

    It counts within the step, because a callback only sees the end of an
    execution, which is many steps with `steps_per_execution`. After `most`
    skipped steps in a row nothing changes the weights any more. With
    `tf.distribute` a step is skipped if any replica's gradients are not finite;
    Keras (3.15.1) by itself looks at the first one's.

    Args:
        inner_optimizer: A Keras optimizer, no `LossScaleOptimizer`.
        most: So many skipped steps in a row are the end.
        **kwargs: Those of `keras.optimizers.LossScaleOptimizer`.
    """

    def __init__(self, inner_optimizer, most=10, **kwargs):
        super().__init__(inner_optimizer, **kwargs)
        self.most = most
        self.outer = None  # what it stands in for, if that has a scale itself

    def build(self, variables):
        super().build(variables)
        self.counts = self.add_variable(
            shape=(len(COUNTS),),
            dtype="int32",
            initializer="zeros",
            aggregation="only_first_replica",
            name="counts",
        )

    def apply(self, grads, trainable_variables=None):
        before = ops.convert_to_tensor(self.dynamic_scale) + 0.0
        super().apply(grads, trainable_variables)
        self._count(before)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        def scope(values):
            pairs = zip(self.variables, values, strict=True)
            return keras.StatelessScope(state_mapping=list(pairs))

        with scope(optimizer_variables):
            before = ops.convert_to_tensor(self.dynamic_scale)
            trainable_variables, values = super().stateless_apply(
                optimizer_variables, grads, trainable_variables
            )
        with scope(values) as after:
            self._count(before)
        values = [after.get_current_value(x) for x in self.variables]
        return trainable_variables, values

    def check_finite(self, grads):
        """Whether the gradients of all replicas are, and it isn't the end."""
        finite = super().check_finite(grads)
        broken = ops.cast(ops.logical_not(finite), "float32")
        finite = ops.equal(sum_over_replicas(broken), 0.0)
        return ops.logical_and(finite, ops.logical_not(self._is_over()))

    def save_own_variables(self, store):
        """As what it stands in for, which is what `compile` has noted."""
        variables = self.inner_optimizer.variables
        if self.outer is not None:
            variables = [x for x in self.variables if x is not self.counts]
        for i, variable in enumerate(variables):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    def _is_over(self):
        return self.counts[COUNTS.index("longest")] >= self.most

    def _count(self, scale_before):
        """Adds a step to the counts; a skipped one has halved the scale."""
        steps, skipped, in_a_row, longest, longest_at = ops.unstack(
            ops.convert_to_tensor(self.counts), num=len(COUNTS)
        )
        is_skipped = self.dynamic_scale < scale_before
        is_over = self._is_over()
        steps = steps + 1
        counted = ops.logical_and(is_skipped, ops.logical_not(is_over))
        skipped = skipped + ops.cast(counted, "int32")
        in_a_row = ops.where(is_skipped, in_a_row + 1, 0)
        is_longer = ops.logical_and(counted, in_a_row > longest)
        longest = ops.where(is_longer, in_a_row, longest)
        longest_at = ops.where(is_longer, steps, longest_at)
        self.counts.assign(
            ops.stack([steps, skipped, in_a_row, longest, longest_at])
        )
