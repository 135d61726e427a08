import re

import keras

from keras_vtr.replicas import num_replicas
from keras_vtr.replicas import sum_over_replicas

OUTER_ARGUMENTS = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiOptimizer(keras.optimizers.Optimizer):
    """Trains different variables with different optimizers.

    For other learning rates of some layers: a tenth for DETR's backbone (Carion
    et al. 2020, section 4), less in earlier layers of a ViT
    (`layerwise_decay`). As in TensorFlow Addons' optimizer of this name, each
    variable belongs to exactly one of the optimizers. It is chosen by the
    variable's path, not by layer objects, so the choice survives saving.

    `keras.optimizers.MultiOptimizer` (Keras 3.15) also does this, but clips the
    gradients of each group separately, whereas DETR's training recipe clips the
    norm of all, and refuses callbacks that set a learning rate.

    Arguments that concern all variables are given here, not to the optimizers
    inside: clipping (`global_clipnorm` uses all gradients), `use_ema`,
    `gradient_accumulation_steps`, `loss_scale_factor`. The learning rate here
    multiplies all those inside, so schedules and callbacks that set it work.

    Args:
        optimizers: List of pairs (pattern, optimizer). A variable belongs to
            the first one whose regular expression is found in its `path`, such
            as "encoder/block_3/feed_forward/norm/gamma"; "" fits every path.
        learning_rate: Factor on all learning rates: a number or a
            `LearningRateSchedule`.
        name: Name of the optimizer.
        **kwargs: Further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If a variable fits no pattern, a pattern fits no variable,
            or an optimizer inside has an argument for all variables.

    Example:

    >>> optimizer = keras_vtr.optimizers.MultiOptimizer(
    ...     [
    ...         ("^stage_", keras.optimizers.AdamW(1e-5)),
    ...         ("", keras.optimizers.AdamW(1e-4)),
    ...     ],
    ...     global_clipnorm=0.1,
    ... )
    >>> print(float(optimizer.learning_rate))
    1.0
    """

    def __init__(
        self, optimizers, learning_rate=1.0, name="multi_optimizer", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        if self.weight_decay is not None:
            raise ValueError(
                "`weight_decay` belongs to the optimizers inside. Received: "
                f"weight_decay={self.weight_decay}"
            )
        if not optimizers:
            raise ValueError(
                "`optimizers` must have at least one pair (pattern, "
                f"optimizer). Received: optimizers={optimizers!r}"
            )
        for _, optimizer in optimizers:
            _check_member(optimizer)
        # Not `optimizers`: SwapEMAWeights (Keras 3.15) would read the averages
        # from an attribute of that name.
        self.patterns = [pattern for pattern, _ in optimizers]
        self.members = [optimizer for _, optimizer in optimizers]

    def build(self, variables):
        if self.built:
            return
        self.owners = [self._find_owner(variable) for variable in variables]
        for i, optimizer in enumerate(self.members):
            group = [
                variable
                for variable, owner in zip(variables, self.owners, strict=True)
                if owner == i
            ]
            if not group:
                paths = [variable.path for variable in variables]
                raise ValueError(
                    f"The pattern {self.patterns[i]!r} is found in no "
                    "trainable variable's path, or earlier patterns took them "
                    f"all. The paths are {paths}"
                )
            optimizer.build(group)
        super().build(variables)

    @property
    def variables(self):
        inside = [optimizer.variables for optimizer in self.members]
        return sum(inside, super().variables)

    def apply(self, grads, trainable_variables=None):
        for optimizer in self.members:
            optimizer.iterations.assign(self.iterations)
        super().apply(grads, trainable_variables)

    def _clip_gradients(self, grads):
        """Clips the gradients of all replicas of `tf.distribute` together.

        Private: Keras 3.15.1 clips on each replica and sums afterwards, unlike
        one device with the complete batch, and has no public hook. Here the sum
        comes first, and Keras's sum of the equal shares doesn't change it.
        """
        share = 1 / num_replicas()
        if share == 1:
            return super()._clip_gradients(grads)
        if self.gradient_accumulation_steps or self.ema_overwrite_frequency:
            raise ValueError(
                "`gradient_accumulation_steps` and `ema_overwrite_frequency` "
                "do not work under `tf.distribute` (Keras 3.15.1). Use larger "
                "batches, or the JAX backend with `keras.distribution`."
            )
        summed = [g if g is None else sum_over_replicas(g) for g in grads]
        clipped = super()._clip_gradients(summed)
        return [g if g is None else g * share for g in clipped]

    def update_step(self, gradient, variable, learning_rate):
        # Private: the only lookup of a variable's index (Keras 3.15.1).
        owner = self.owners[self._get_variable_index(variable)]
        optimizer = self.members[owner]
        learning_rate = keras.ops.cast(
            learning_rate, gradient.dtype
        ) * keras.ops.cast(optimizer.learning_rate, gradient.dtype)
        decay = optimizer.weight_decay
        # Private: `exclude_from_weight_decay` has no public getter (Keras
        # 3.15.1).
        if decay and optimizer._use_weight_decay(variable):
            self.assign_sub(variable, variable * (decay * learning_rate))
        optimizer.update_step(gradient, variable, learning_rate)

    def get_config(self):
        config = super().get_config()
        config.pop("weight_decay")
        return {
            "optimizers": [
                (pattern, keras.optimizers.serialize(optimizer))
                for pattern, optimizer in zip(
                    self.patterns, self.members, strict=True
                )
            ],
            **config,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = [
            (pattern, keras.optimizers.deserialize(inside, custom_objects))
            for pattern, inside in config["optimizers"]
        ]
        return super().from_config(
            {**config, "optimizers": optimizers}, custom_objects
        )

    def _find_owner(self, variable):
        for i, pattern in enumerate(self.patterns):
            if re.search(pattern, variable.path):
                return i
        raise ValueError(
            f"No pattern is found in {variable.path!r}. Add a last pair ('', "
            f"optimizer) for all other variables. Received: {self.patterns}"
        )


def _check_member(optimizer):
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "`optimizers` must be pairs (pattern, Keras optimizer). Received: "
            f"{optimizer!r}"
        )
    given = {name: getattr(optimizer, name) for name in OUTER_ARGUMENTS}
    # Not by truth: a norm of 0.0 is given, too.
    wrong = [
        x
        for x, value in given.items()
        if value is not None and value is not False
    ]
    if wrong:
        raise ValueError(
            f"{wrong} must be given to `MultiOptimizer`, for all variables at "
            f"once, not to the {type(optimizer).__name__} inside."
        )
    # Such optimizers do more in a step than update each variable. Private:
    # Keras 3.15.1 has no public hook for the update of all variables.
    for method in ("apply", "_backend_update_step"):
        own = getattr(type(optimizer), method)
        if own is not getattr(keras.optimizers.Optimizer, method):
            raise ValueError(
                f"{type(optimizer).__name__} can't work inside "
                "`MultiOptimizer`, because its step is more than a separate "
                "update of each variable."
            )
