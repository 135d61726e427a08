import re

import keras

from keras_vtr.replicas import num_replicas
from keras_vtr.replicas import sum_over_replicas

BELONG_OUTSIDE = (
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

    For other learning rates in other places: a tenth for DETR's backbone
    (Carion et al. 2020, section 4), less in earlier layers of a ViT
    (`layerwise_decay`). As in TensorFlow Addons' optimizer of this name, each
    variable belongs to exactly one of the optimizers. There layers chose it;
    here the variable's path does, so the choice survives saving.

    `keras.optimizers.MultiOptimizer` (Keras 3.15) does this, too, but clips
    the gradients of each group by themselves, where DETR's recipe clips the
    norm of all, and refuses the callbacks that set a learning rate.

    What concerns all variables is an argument here, not of the optimizers
    inside: clipping (`global_clipnorm` sees all gradients), `use_ema`,
    `gradient_accumulation_steps`, `loss_scale_factor`. The learning rate here
    multiplies all those inside, so schedules and callbacks that set it work.

    Args:
        optimizers: List of pairs (pattern, optimizer). A variable takes the
            first one whose regular expression is found in its `path`, such as
            "encoder/block_3/feed_forward/norm/gamma"; "" takes every one.
        learning_rate: Factor on all learning rates: a number or a
            `LearningRateSchedule`.
        name: Name of the optimizer.
        **kwargs: Further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If a variable fits no pattern, a pattern fits no variable,
            or an optimizer inside has an argument that belongs outside.

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
                "`optimizers` must name at least one pair (pattern, "
                f"optimizer). Received: optimizers={optimizers!r}"
            )
        for _, optimizer in optimizers:
            _check_inside(optimizer)
        # Not `optimizers`: by that name Keras's SwapEMAWeights would look for
        # the averages in them.
        self.patterns = [pattern for pattern, _ in optimizers]
        self.members = [optimizer for _, optimizer in optimizers]

    def build(self, variables):
        if self.built:
            return
        self.owners = [self._owner(variable) for variable in variables]
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
        """Clips what all replicas of `tf.distribute` have found together.

        Keras 3.15.1 clips on each replica and sums afterwards, which is not
        what one device does with the whole batch. Here the sum comes first,
        and Keras's sum of equal shares then changes nothing.
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
        together = [g if g is None else sum_over_replicas(g) for g in grads]
        clipped = super()._clip_gradients(together)
        return [g if g is None else g * share for g in clipped]

    def update_step(self, gradient, variable, learning_rate):
        owner = self.owners[self._get_variable_index(variable)]
        optimizer = self.members[owner]
        learning_rate = keras.ops.cast(
            learning_rate, gradient.dtype
        ) * keras.ops.cast(optimizer.learning_rate, gradient.dtype)
        decay = optimizer.weight_decay
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

    def _owner(self, variable):
        for i, pattern in enumerate(self.patterns):
            if re.search(pattern, variable.path):
                return i
        raise ValueError(
            f"No pattern is found in {variable.path!r}. A last pair ('', "
            f"optimizer) takes what is left. Received: {self.patterns}"
        )


def _check_inside(optimizer):
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "`optimizers` must be pairs (pattern, Keras optimizer). Received: "
            f"{optimizer!r}"
        )
    given = {name: getattr(optimizer, name) for name in BELONG_OUTSIDE}
    # Not by their truth: a norm of 0.0 was given as well.
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
    # Such optimizers do something once a step, besides each variable's update.
    for method in ("apply", "_backend_update_step"):
        own = getattr(type(optimizer), method)
        if own is not getattr(keras.optimizers.Optimizer, method):
            raise ValueError(
                f"{type(optimizer).__name__} can't work inside "
                "`MultiOptimizer`, since its step is more than the update of "
                "each variable by itself."
            )
