import keras

from keras_vtr.optimizers.multi_optimizer import OUTER_ARGUMENTS
from keras_vtr.optimizers.multi_optimizer import MultiOptimizer
from keras_vtr.stages import DETR
from keras_vtr.stages import ViT

# Of a ViT, and of its copy in `build_eomt`.
ENCODER = f"(vit_)?{ViT.ENCODER}"
# The stages after the last block, and what is new in `build_eomt`.
LAST = (
    f"(^|/)(?=({ENCODER}/(norm|prediction|queries)|{ViT.POOLING}|"
    f"{ViT.REPRESENTATION}|{ViT.HEAD}|{ViT.DISTILLATION_HEAD}|"
    f"{DETR.CLASS_HEAD})(/|$))"
)
# Vectors and learned tokens, which get no weight decay.
UNDECAYED = (
    "(bias|gamma|beta|scale|class_token|position_embedding|row_embedding|"
    "column_embedding|probe|queries)$"
)


def layerwise_decay(optimizer, num_layers, decay=0.75):
    """Layer-wise learning rate decay, for fine-tuning a ViT.

    Bao et al. 2021 (BEiT), section 3.3 and appendix, after Clark et al. 2020
    (ELECTRA). Head and final norm have the full learning rate, block i (from 0)
    of L has `decay ** (L - i)` of it, and patches, positions and class token
    `decay ** (L + 1)`. As in the authors' code, biases, norms, learned tokens
    and positions have no weight decay.

    Args:
        optimizer: A Keras optimizer, whose type, learning rate or schedule,
            weight decay, clipping and moving average are used. The object
            itself is not.
        num_layers: L, the number of blocks of the encoder.
        decay: Factor from one layer to the one before it.

    Returns:
        A `MultiOptimizer` for models from `keras_vtr.models.build_vit` and
        `build_eomt`, whose queries and mask head have the full rate, too.

    Raises:
        ValueError: If `decay` is not in (0, 1].

    Example:

    >>> optimizer = keras_vtr.optimizers.layerwise_decay(
    ...     keras.optimizers.AdamW(1e-3, weight_decay=0.05), num_layers=12
    ... )
    >>> print(len(optimizer.members))
    28
    """
    if not 0 < decay <= 1:
        raise ValueError(f"`decay` must be in (0, 1]. Received: decay={decay}")
    config = optimizer.get_config()
    outer = {name: config.pop(name) for name in OUTER_ARGUMENTS}
    for name in ("ema_momentum", "ema_overwrite_frequency"):
        outer[name] = config.pop(name)
    learning_rate = config.pop("learning_rate")
    if isinstance(learning_rate, dict):
        learning_rate = keras.optimizers.schedules.deserialize(learning_rate)

    def make_member(factor, weight_decay):
        return type(optimizer).from_config(
            {**config, "learning_rate": factor, "weight_decay": weight_decay}
        )

    full = config.get("weight_decay")
    no_decay = None if full is None else 0.0
    pairs = [
        (pattern + end, make_member(factor, weight_decay))
        for pattern, factor in layerwise_factors(num_layers, decay)
        for end, weight_decay in ((f".*{UNDECAYED}", no_decay), ("", full))
    ]
    return MultiOptimizer(pairs, learning_rate=learning_rate, **outer)


def layerwise_factors(num_layers, decay):
    """Pairs of a pattern of paths and its factor; the first that fits counts.

    The last pattern, that of the layers before the encoder, fits all paths.
    """
    blocks = [f"(^|/){ENCODER}/block_{i}/" for i in range(num_layers)]
    patterns = [*blocks, LAST, ""]
    depths = [*range(1, num_layers + 2), 0]
    return [
        (pattern, decay ** (num_layers + 1 - depth))
        for pattern, depth in zip(patterns, depths, strict=True)
    ]
