import keras

from keras_vtr.optimizers import layerwise_decay
from keras_vtr.stages import ViT
from keras_vtr.training.arguments import check_positive


def compile_vit(
    model,
    steps_per_epoch,
    *,
    epochs=30,
    learning_rate=1e-3,
    layer_decay=0.75,
    weight_decay=0.05,
    clip_norm=1.0,
    warmup_share=0.1,
    gradient_accumulation_steps=None,
    **options,
):
    """Compiles a ViT classifier with BEiT's recipe for fine-tuning.

    Bao et al. 2021 (BEiT), section 3.3 and appendix: AdamW; less learning rate
    in earlier layers, without weight decay of biases, norms and positions
    (`keras_vtr.optimizers.layerwise_decay`); a linear warm-up and a cosine to 0
    over all steps. Stochastic depth is an argument of the model. Differences:
    no label smoothing, Mixup or random erasing, which pay on large data sets.

    Args:
        model: From `keras_vtr.models.build_vit` or `from_pretrained`, with one
            output, logits (B, K).
        steps_per_epoch: Steps of one pass over the data.
        epochs: Number of epochs of the training.
        learning_rate: The highest one, of the head.
        layer_decay: Factor from one block to the one before it; 1 for a ViT
            with random weights, whose first blocks have all to learn.
        weight_decay: Multiplied with the learning rate.
        clip_norm: Largest global norm of the gradients.
        warmup_share: Share of all steps in which the learning rate rises, in
            [0, 1).
        gradient_accumulation_steps: As for `compile_detr`.
        **options: Of `keras.Model.compile`.

    Returns:
        The compiled model, with the metric `"accuracy"`.

    Raises:
        ValueError: If a number is out of its range, or the model has no encoder
            of a ViT or another output.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     num_classes=3, size="tiny", image_shape=(32, 32, 3), num_layers=2
    ... )
    >>> vit = keras_vtr.training.compile_vit(vit, 10, epochs=3)
    >>> print(len(vit.optimizer.members))
    8
    """
    check_positive(
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
    )
    if not 0 <= warmup_share < 1:
        raise ValueError(
            "`warmup_share` must be in [0, 1). Received: "
            f"warmup_share={warmup_share}"
        )
    _check_classifier(model)
    num_steps = steps_per_epoch * epochs
    warmup_steps = int(num_steps * warmup_share)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else learning_rate,
        num_steps - warmup_steps,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    adam = keras.optimizers.AdamW(
        rate,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )
    num_layers = model.get_layer(ViT.ENCODER).num_layers
    model.compile(
        layerwise_decay(adam, num_layers, layer_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **options,
    )
    return model


def _check_classifier(model):
    names = [layer.name for layer in model.layers]
    rank = len(getattr(model.output, "shape", ()))
    if ViT.ENCODER not in names or rank != 2:
        raise ValueError(
            "`model` must be a ViT with one output, logits (B, K), such as "
            f"build_vit returns. Received: model={model.name!r} with the "
            f"output {model.output}"
        )
