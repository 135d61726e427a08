import re

import keras

from keras_vtr.layers import MaskHead
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import mask_terms
from keras_vtr.losses import point_mask_terms
from keras_vtr.losses import sigmoid_terms
from keras_vtr.optimizers import MultiOptimizer
from keras_vtr.stages import DETR
from keras_vtr.training.arguments import check_positive
from keras_vtr.training.backbone import backbone_rates

# Of the backbone: vectors, and everything before its blocks.
UNDECAYED = re.compile(r"(bias|gamma|beta)$|^(?!.*encoder/)")
# `backbone_rates` counts the blocks; the authors' code counts one more.
DEPTH_OFFSET = 1


def compile_rf_detr(
    model,
    *,
    learning_rate=1e-4,
    backbone_learning_rate=1.5e-4,
    backbone_layer_decay=0.8,
    component_decay=0.7,
    weight_decay=1e-4,
    clip_norm=0.1,
    use_ema=True,
    gradient_accumulation_steps=None,
    loss=None,
    **options,
):
    """Compiles an RF-DETR with its authors' recipe for fine-tuning.

    Robinson et al. 2025 (RF-DETR), in the authors' code (rfdetr 1.7): AdamW
    with constant learning rates that get smaller from the heads over the
    decoder to the backbone, and within it from block to block; gradients
    clipped by their global norm; averaged weights. The authors' batches have
    16 images, and each batch another size: for a model of free size, give
    `keras_vtr.data.detection_dataset` `image_sizes=rf_detr_image_sizes(384)`.
    Differences: the average has a constant momentum of 0.993, where theirs
    begins lower; and masks of the selection and of the further groups aren't
    learned.

    Args:
        model: From `keras_vtr.models.build_rf_detr` or
            `keras_vtr.pretrained.from_pretrained`; from `add_groups` with their
            queries, each group counting as much as the model's own.
        learning_rate: Of everything but decoder and backbone. A callback or a
            schedule may change the factor on all rates,
            `model.optimizer.learning_rate`.
        backbone_learning_rate: Of the backbone's final norm, times
            `component_decay` squared; 0 freezes the backbone.
        backbone_layer_decay: Factor from one block of the ViT to the one before
            it, as in `compile_detr`, and from the norm to the last block once
            more.
        component_decay: Factor from heads to decoder.
        weight_decay: Of all weights but the backbone's vectors, patches,
            positions and class token; multiplied with the learning rate.
        clip_norm: Largest global norm of the gradients.
        use_ema: As in `compile_detr`.
        gradient_accumulation_steps: As in `compile_detr`.
        loss: Default: `rf_detr_loss(model)`.
        **options: Of `keras.Model.compile`.

    Returns:
        The compiled model.

    Raises:
        ValueError: If a number is out of its range, or the model has no ViT as
            backbone, or no decoder.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     0, size="tiny", image_shape=(64, 64, 3), num_layers=2
    ... )
    >>> model = keras_vtr.models.build_rf_detr(
    ...     3,
    ...     vit=vit,
    ...     image_shape=(64, 64, 3),
    ...     feature_blocks=(0, 1),
    ...     global_blocks=(1,),
    ...     num_queries=5,
    ... )
    >>> model = keras_vtr.training.compile_rf_detr(model)
    >>> print(model.loss.term_names[0])
    label_loss
    """
    check_positive(learning_rate=learning_rate, clip_norm=clip_norm)
    _check(model, backbone_learning_rate, component_decay, weight_decay)
    rates = backbone_rates(
        model,
        backbone_learning_rate * component_decay**2,
        backbone_layer_decay,
        DEPTH_OFFSET,
    )
    members = [
        (f"^({'|'.join(map(re.escape, paths))})$", _adam(rate, decay))
        for rate, every_path in rates.items()
        for decay, paths in _by_decay(every_path, weight_decay)
    ]
    # Of the decoder's layer, its box head is a head.
    members += [
        (
            f"^{DETR.DECODER}/(?!box_head)",
            _adam(learning_rate * component_decay, weight_decay),
        ),
        ("", _adam(learning_rate, weight_decay)),
    ]
    optimizer = MultiOptimizer(
        members,
        global_clipnorm=clip_norm,
        use_ema=use_ema,
        ema_momentum=0.993,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )
    loss = rf_detr_loss(model) if loss is None else loss
    model.compile(optimizer, loss, **options)
    return model


def rf_detr_loss(model):
    """The loss of RF-DETR's authors.

    Robinson et al. 2025 (RF-DETR) and the authors' code: `sigmoid_terms`; with
    masks the class counts five times, but not in the matching, and
    `point_mask_terms` are added, for the object queries alone: the further
    groups draw no masks here. Each group of queries counts alike. Without
    objects, the sum over the groups is divided by their number, which in the
    authors' code it is not.

    Args:
        model: As for `compile_rf_detr`.

    Returns:
        A `keras_vtr.losses.HungarianLoss`.
    """
    terms, num_groups, weights = sigmoid_terms(), 1, None
    if "group_boxes" in model.output:
        counts = [
            model.output[key].shape[axis]
            for key, axis in (("group_boxes", 2), ("boxes", 1))
        ]
        num_groups += counts[0] // counts[1]
        weights = {"": 1 / num_groups, "group": 1 - 1 / num_groups}
    if "masks" in model.output:
        terms[0].weight = 5.0
        is_panoptic = any(isinstance(x, MaskHead) for x in model.layers)
        of_masks = mask_terms() if is_panoptic else point_mask_terms()
        for term in of_masks:  # which the object queries alone have
            term.weight *= num_groups
        terms += of_masks
    return HungarianLoss(terms, pairing_weights=weights)


def rf_detr_image_sizes(side, patch_size=16, num_windows=2):
    """The sizes that the authors draw from in training, one for each batch.

    The side plus or minus 1 to 5 patches of each window, as in the authors'
    code ("multi-scale", "expanded scales"), but at least two patches of each.

    Args:
        side: Of the model's square images, in pixels.
        patch_size: Of the ViT.
        num_windows: In each row and column.

    Returns:
        A list of (height, width) for `detection_dataset(image_sizes=...)`, the
        model's own first.

    Raises:
        ValueError: If patches and windows don't divide the side.

    Example:

    >>> print(keras_vtr.training.rf_detr_image_sizes(384)[:3])
    [(384, 384), (224, 224), (256, 256)]
    """
    step = patch_size * num_windows
    if side < 2 * step or side % step:
        raise ValueError(
            "`side` must be a multiple of patch_size * num_windows, and at "
            f"least twice as much. Received: side={side}, patch_size="
            f"{patch_size}, num_windows={num_windows}"
        )
    others = (side + i * step for i in range(-5, 6) if i)
    return [(x, x) for x in (side, *others) if x >= 2 * step]


def _check(model, backbone_rate, component_decay, weight_decay):
    if not 0 < component_decay <= 1 or backbone_rate < 0 or weight_decay < 0:
        raise ValueError(
            "`component_decay` must be in (0, 1], `backbone_learning_rate` and "
            "`weight_decay` 0 or above. Received: component_decay="
            f"{component_decay}, backbone_learning_rate={backbone_rate}, "
            f"weight_decay={weight_decay}"
        )
    names = [layer.name for layer in model.layers]
    if DETR.DECODER not in names or DETR.QUERY_SELECTION not in names:
        raise ValueError(
            "`model` must have a decoder and a selection of queries, as of "
            f"build_rf_detr. Received: model={model.name!r}"
        )


def _by_decay(paths, weight_decay):
    """Pairs of a weight decay and the paths that have it."""
    undecayed = [path for path in paths if UNDECAYED.search(path)]
    others = [path for path in paths if not UNDECAYED.search(path)]
    pairs = [(0.0, undecayed), (weight_decay, others)]
    return [(decay, paths) for decay, paths in pairs if paths]


def _adam(learning_rate, weight_decay):
    # Keras's own epsilon is 1e-7, torch's 1e-8.
    return keras.optimizers.AdamW(
        learning_rate, weight_decay=weight_decay, epsilon=1e-8
    )
