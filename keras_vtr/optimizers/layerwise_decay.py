import keras

from keras_vtr.optimizers.multi_optimizer import BELONG_OUTSIDE
from keras_vtr.optimizers.multi_optimizer import MultiOptimizer

LAST = "(^|/)(encoder/norm|pooling|representation|head|distillation_head)/"
# Vectors and learned tokens, which weight decay would only shrink.
UNDECAYED = (
    "(bias|gamma|beta|scale|class_token|position_embedding|row_embedding|"
    "column_embedding|probe)$"
)


def layerwise_decay(optimizer, num_layers, decay=0.75):
    """Makes earlier layers of a ViT learn more slowly than later ones.

    Bao et al. 2021 (BEiT), section 3.3 and appendix, after Clark et al. 2020
    (ELECTRA): for fine-tuning, what comes early is good already. Head and
    final norm learn at the full rate, block i (from 0) of L at `decay **
    (L - i)` of it, patches, positions and class token at `decay ** (L + 1)`.
    As in the authors' code, weight decay leaves out biases, norms, learned
    tokens and positions.

    Args:
        optimizer: A Keras optimizer: its learning rate or schedule, weight
            decay, clipping and moving average are taken over. It stays unused
            itself.
        num_layers: L, how many blocks the encoder has.
        decay: Factor from one layer to the one before it.

    Returns:
        A `MultiOptimizer` for models from `keras_vtr.models.build_vit`.

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
    outside = {name: config.pop(name) for name in BELONG_OUTSIDE}
    for name in ("ema_momentum", "ema_overwrite_frequency"):
        outside[name] = config.pop(name)
    learning_rate = config.pop("learning_rate")
    if isinstance(learning_rate, dict):
        learning_rate = keras.optimizers.schedules.deserialize(learning_rate)

    def inside(factor, weight_decay):
        return type(optimizer).from_config(
            {**config, "learning_rate": factor, "weight_decay": weight_decay}
        )

    full = config.get("weight_decay")
    no_decay = None if full is None else 0.0
    blocks = [f"(^|/)encoder/block_{i}/" for i in range(num_layers)]
    pairs = []
    for depth, pattern in enumerate(["", *blocks, LAST]):
        factor = decay ** (num_layers + 1 - depth)
        for end, weight_decay in ((f".*{UNDECAYED}", no_decay), ("", full)):
            pairs += [(pattern + end, inside(factor, weight_decay))]
    # What comes before the encoder is all the rest, so it is asked last.
    pairs = pairs[2:] + pairs[:2]
    return MultiOptimizer(pairs, learning_rate=learning_rate, **outside)
