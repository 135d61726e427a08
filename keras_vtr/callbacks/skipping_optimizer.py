"""An optimizer that skips steps whose gradients are not finite."""

import contextlib

import keras
from keras import ops

from keras_vtr.replicas import sum_over_replicas

# The elements of `SkippingOptimizer.counts`, in this order.
COUNTS = ("steps", "skipped", "in_a_row", "last_skipped")


def wrap_optimizer(model, most):
    """Replaces a model's optimizer by a `SkippingOptimizer` around it.

    `SkipNonFinite` calls this when `fit` begins and `restore_optimizer` when
    it ends; if `fit` raised, the next call here restores first. The compiled
    optimizer still updates the weights. If it has a loss scale, that is copied
    to the wrapper, and back by `restore_optimizer`.
    """
    restore_optimizer(model)
    strategy = getattr(model, "distribute_strategy", None)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model.optimizer = SkippingOptimizer(
            model.optimizer, most, model.trainable_variables
        )
    model.train_function = None  # It was compiled with the other optimizer.


def restore_optimizer(model):
    """Gives a model the optimizer back that it was compiled with."""
    if isinstance(model.optimizer, SkippingOptimizer):
        model.optimizer.copy_scale_back()
        model.optimizer = model.optimizer.compiled
        model.train_function = None


class SkippingOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras's `LossScaleOptimizer`, which also counts the skipped steps.

    Keras's class is the base because it skips non-finite gradients on every
    backend. A callback runs only once per execution (`steps_per_execution`),
    so the step itself counts. After `most` skipped steps in a row all further
    steps are skipped, too. With `tf.distribute` the gradients of all replicas
    are checked; Keras (3.15.1) checks those of the first replica only.

    Args:
        compiled: The optimizer that the model was compiled with. A
            `LossScaleOptimizer` keeps its scale; any other gets a scale of 1.
        most: Number of skipped steps in a row after which all are skipped.
        variables: The model's trainable variables.
    """

    def __init__(self, compiled, most, variables):
        has_scale = isinstance(compiled, keras.optimizers.LossScaleOptimizer)
        super().__init__(
            compiled.inner_optimizer if has_scale else compiled,
            initial_scale=compiled.initial_scale if has_scale else 1.0,
            dynamic_growth_steps=(
                compiled.dynamic_growth_steps if has_scale else 2**31 - 1
            ),
        )
        self.compiled = compiled
        self.most = most
        self.has_scale = has_scale
        if not compiled.built:
            compiled.build(variables)
        self.build(variables)
        if self.has_scale:
            _copy_scale(compiled, self)

    def build(self, variables):
        super().build(variables)
        self.counts = self.add_variable(
            shape=(len(COUNTS),),
            dtype="int32",
            initializer="zeros",
            aggregation="only_first_replica",
            name="counts",
        )

    def check_finite(self, grads):
        """Whether this step may change the weights; also counts the step."""
        is_broken = ops.logical_not(super().check_finite(grads))
        is_broken = sum_over_replicas(ops.cast(is_broken, "float32")) > 0.0
        steps, skipped, in_a_row, last_skipped = ops.unstack(
            ops.convert_to_tensor(self.counts), num=len(COUNTS)
        )
        is_over = in_a_row >= self.most
        is_skipped = ops.logical_and(is_broken, ops.logical_not(is_over))
        steps = steps + 1
        skipped = skipped + ops.cast(is_skipped, "int32")
        last_skipped = ops.where(is_skipped, steps, last_skipped)
        row = ops.where(is_broken, in_a_row + 1, 0)
        in_a_row = ops.where(is_over, in_a_row, row)
        self.counts.assign(ops.stack([steps, skipped, in_a_row, last_skipped]))
        return ops.logical_not(ops.logical_or(is_broken, is_over))

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        mapping = list(zip(self.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            trainable_variables, values = super().stateless_apply(
                optimizer_variables, grads, trainable_variables
            )
        # Keras's method returns the counts as they were before the step.
        position = [x is self.counts for x in self.variables].index(True)
        values[position] = scope.get_current_value(self.counts)
        return trainable_variables, values

    def save_own_variables(self, store):
        """Saves what the compiled optimizer would save."""
        self.copy_scale_back()
        self.compiled.save_own_variables(store)

    def reset_scale(self):
        """Undoes the halving of a scale that only serves to skip steps."""
        if not self.has_scale:
            self.dynamic_scale.assign(self.initial_scale)

    def copy_scale_back(self):
        """Gives the compiled optimizer the present loss scale."""
        if self.has_scale:
            _copy_scale(self, self.compiled)


def _copy_scale(source, target):
    for name in ("dynamic_scale", "step_counter"):
        getattr(target, name).assign(getattr(source, name))
