import functools
import re

import keras

from keras_vtr.losses import HungarianLoss
from keras_vtr.optimizers import MultiOptimizer
from keras_vtr.stages import DETR
from keras_vtr.training.arguments import check_positive
from keras_vtr.training.backbone import backbone_rates
from keras_vtr.training.terms import terms_for


def compile_detr(
    model,
    steps_per_epoch,
    *,
    epochs=300,
    drop_epoch=None,
    learning_rate=1e-4,
    backbone_learning_rate=1e-5,
    backbone_layer_decay=None,
    masks_only=False,
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
        backbone_learning_rate: Of the backbone; 0 freezes it. Above 0 it is
            trained, but for the first stages of a ResNet and what is frozen
            within it, such as the kernels of layers with LoRA (Keras's
            `enable_lora`, before this call). A `FeaturePyramid` in it is new
            and is trained as the rest of the detector.
        backbone_layer_decay: Optional factor from one block of a ViT to the one
            before it, as in `keras_vtr.optimizers.layerwise_decay`: the final
            norm has the `backbone_learning_rate`, the patches the lowest one.
        masks_only: Whether the mask head alone is trained, all else being
            frozen, as in section 4.4, after the boxes. It stays frozen for
            later calls; set `model.trainable = True` before them.
        weight_decay: Of all weights; multiplied with the learning rate.
        clip_norm: Largest global norm of the gradients.
        use_ema: Whether to keep an exponential moving average of the weights
            (momentum 0.99), for `keras_vtr.optimizers.averaged_weights`.
        gradient_accumulation_steps: Optional number of steps whose gradients
            are averaged for one update. `steps_per_epoch` counts each step.
        loss: Default: `keras_vtr.losses.HungarianLoss()`, with `sigmoid_terms`
            for a model with `classifier="sigmoid"`, `RelativeBoxTerm` for one
            with `RelativeRefinement`, `mask_terms` for one with a `MaskHead`,
            and `point_mask_terms` for one with another mask head.
        **options: Of `keras.Model.compile`: `jit_compile`,
            `steps_per_execution`, ...

    Returns:
        The compiled model; and the schedule, a factor of both learning rates,
        a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If a number is out of its range, or the model has no
            backbone or no boxes.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3, size="small", image_shape=(64, 64, 3)
    ... )
    >>> detr, schedule = keras_vtr.training.compile_detr(detr, 10, epochs=3)
    >>> print([round(float(schedule(step)), 3) for step in (0, 19, 21)])
    [1.0, 1.0, 0.1]
    """
    drop_epoch = max(1, epochs * 2 // 3) if drop_epoch is None else drop_epoch
    _check_boxes(model)
    check_positive(
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        drop_epoch=drop_epoch,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
    )
    if masks_only:
        _freeze_all_but_masks(model)
        backbone_learning_rate = 0.0
    rates = backbone_rates(model, backbone_learning_rate, backbone_layer_decay)
    adam = functools.partial(keras.optimizers.AdamW, weight_decay=weight_decay)
    members = [
        (f"^({'|'.join(map(re.escape, paths))})$", adam(rate))
        for rate, paths in rates.items()
    ]
    members.append(("", adam(learning_rate)))
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
    loss = HungarianLoss(terms_for(model)) if loss is None else loss
    model.compile(optimizer, loss, **options)
    return model, schedule


def _check_boxes(model):
    if isinstance(model.output, dict) and "boxes" not in model.output:
        raise ValueError(
            "`model` must predict boxes; this is DETR's recipe. Compile one of "
            "masks alone, such as build_eomt returns, with "
            "HungarianLoss(keras_vtr.losses.eomt_terms()) and an optimizer of "
            "keras_vtr.optimizers.layerwise_decay. Received: model="
            f"{model.name!r} with the outputs {sorted(model.output)}"
        )


def _freeze_all_but_masks(model):
    names = [layer.name for layer in model.layers]
    if DETR.MASK_HEAD not in names:
        raise ValueError(
            "`masks_only` needs a model with a mask head, such as "
            f"build_detr(masks=True). Received: model={model.name!r}"
        )
    for layer in model.layers:
        layer.trainable = layer.name == DETR.MASK_HEAD
