import functools
import re

import keras

from keras_vtr.classifiers import SIGMOID
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import detr_terms
from keras_vtr.losses import sigmoid_terms
from keras_vtr.optimizers import MultiOptimizer

# DETR's authors freeze these at their ImageNet weights.
FROZEN_LAYERS = ("stem_", "stage_0_")


def compile_detr(
    model,
    steps_per_epoch,
    *,
    epochs=300,
    drop_epoch=None,
    learning_rate=1e-4,
    backbone_learning_rate=1e-5,
    weight_decay=1e-4,
    clip_norm=0.1,
    use_ema=False,
    gradient_accumulation_steps=None,
    loss=None,
    **options,
):
    """Compiles a DETR with its authors' training recipe.

    Carion et al. 2020 (DETR), section 4, "Technical details", and the authors'
    code: AdamW; for the backbone a tenth of the learning rate and frozen first
    stages; gradients clipped by their global norm; a tenth of all learning
    rates after two thirds of the epochs. Dropout is an argument of the model;
    `keras_vtr.data.detection_dataset` scales and crops. The authors' batches
    have 64 images (16 devices with 4); scale the learning rates in proportion.

    Args:
        model: From `keras_vtr.models.build_detr`, `add_denoising` or
            `keras_vtr.pretrained.from_pretrained`.
        steps_per_epoch: Steps of one pass over the data.
        epochs: Number of epochs of the training.
        drop_epoch: Number of epochs until the learning rate falls to a tenth.
            Default: two thirds of `epochs`, as 200 of 300.
        learning_rate: Of everything but the backbone.
        backbone_learning_rate: Of the backbone; 0 freezes it. Above 0 all of it
            is trained, but for the first stages of a ResNet.
        weight_decay: Of all weights; multiplied with the learning rate.
        clip_norm: Largest global norm of the gradients.
        use_ema: Whether to keep an exponential moving average of the weights
            (momentum 0.99), for `keras_vtr.optimizers.averaged_weights`.
        gradient_accumulation_steps: Optional number of steps whose gradients
            are averaged for one update. `steps_per_epoch` counts each step.
        loss: Default: `keras_vtr.losses.HungarianLoss()`, with `sigmoid_terms`
            for a model with `classifier="sigmoid"`.
        **options: Of `keras.Model.compile`: `jit_compile`,
            `steps_per_execution`, ...

    Returns:
        The compiled model; and the schedule, a factor of both learning rates,
        a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If a number is out of its range, or the model has no
            backbone.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3, size="small", image_shape=(64, 64, 3)
    ... )
    >>> detr, schedule = keras_vtr.training.compile_detr(detr, 10, epochs=3)
    >>> print([round(float(schedule(step)), 3) for step in (0, 19, 21)])
    [1.0, 1.0, 0.1]
    """
    if drop_epoch is None:
        drop_epoch = max(1, epochs * 2 // 3)
    _check_positive(
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        drop_epoch=drop_epoch,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
    )
    if not backbone_learning_rate >= 0:
        raise ValueError(
            "`backbone_learning_rate` must be 0, which freezes it, or above. "
            f"Received: backbone_learning_rate={backbone_learning_rate}"
        )
    paths = _freeze_backbone(model, backbone_learning_rate)
    adam = functools.partial(keras.optimizers.AdamW, weight_decay=weight_decay)
    members = [("", adam(learning_rate))]
    if paths:
        pattern = f"^({'|'.join(map(re.escape, paths))})$"
        members.insert(0, (pattern, adam(backbone_learning_rate)))
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [drop_epoch * steps_per_epoch], [1.0, 0.1]
    )
    optimizer = MultiOptimizer(
        members,
        schedule,
        global_clipnorm=clip_norm,
        use_ema=use_ema,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )
    if loss is None:
        is_sigmoid = SIGMOID.key in model.output
        loss = HungarianLoss(sigmoid_terms() if is_sigmoid else detr_terms())
    model.compile(optimizer, loss, **options)
    return model, schedule


def _check_positive(**numbers):
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(
                f"`{name}` must be above 0. Received: {name}={value}"
            )


def _freeze_backbone(model, learning_rate):
    """Freezes its first stages; returns the paths of its trainable weights."""
    backbone = next(
        (x for x in model.layers if isinstance(x, keras.Model)), None
    )
    if backbone is None:
        raise ValueError(
            "`model` must have a backbone that is a Keras model, as in "
            f"build_detr. Received: model={model.name!r}"
        )
    backbone.trainable = learning_rate > 0
    for layer in backbone.layers:
        if layer.name.startswith(FROZEN_LAYERS):
            layer.trainable = False
    paths = {variable.path for variable in backbone.trainable_variables}
    inside = {id(variable) for variable in backbone.variables}
    shared = sorted(
        variable.path
        for variable in model.trainable_variables
        if id(variable) not in inside and variable.path in paths
    )
    if shared:
        raise ValueError(
            "Optimizers are chosen by the paths of weights, so the backbone "
            f"{backbone.name!r} must have paths of its own: rename its layers. "
            f"Received: {shared[:3]} inside and outside of it"
        )
    return sorted(paths)
