import math

import keras

from keras_vtr.layers import ClassToken
from keras_vtr.layers import PixelCenters
from keras_vtr.layers import PositionEmbedding
from keras_vtr.layers import PositionEmbedding2D
from keras_vtr.layers import RelativePositionBias
from keras_vtr.layers import RotaryPositions2D
from keras_vtr.layers import SinePositionEncoding2D
from keras_vtr.stages import ViT

# As in timm 1.0.31. Equal registers would get equal gradients forever.
REGISTER_STD = 1e-6
POSITIONS = ("none", "learned_1d", "learned_2d", "relative", "sine", "rotary")


def add_positions(
    patches, position, grid, interpolation, num_heads, num_class, num_register
):
    """(B, rows, columns, D) -> tokens (B, N, D) with positions.

    Returns:
        The tokens, and arguments for the encoder: an attention bias for
        relative positions, the centers of the patches for rotary ones.
    """
    if position not in POSITIONS:
        raise ValueError(
            f"`position` must be one of {list(POSITIONS)}. "
            f"Received: position={position!r}"
        )
    is_learned = position in ("learned_1d", "learned_2d", "relative")
    if is_learned and grid is None and None in patches.shape[1:3]:
        raise ValueError(
            "`position_grid` must be given where height or width of "
            "`image_shape` is None: it is the size of the table of learned "
            "positions, such as (14, 14) for 224 x 224 pixels and patches of "
            "16. Received: "
            f"position={position!r}, position_grid=None"
        )
    options = {"grid_shape": grid, "name": ViT.POSITIONS}
    arguments = {}
    if position == "learned_2d":
        layer = PositionEmbedding2D(interpolation=interpolation, **options)
        patches = layer(patches)
    if position == "relative":
        num_leading = num_class + num_register
        arguments["attention_bias"] = RelativePositionBias(
            num_heads, num_leading_tokens=num_leading, **options
        )(patches)
    if position == "rotary":
        arguments["positions"] = PixelCenters(name=ViT.POSITIONS)(patches)
    tokens = keras.layers.Reshape((-1, patches.shape[-1]), name=ViT.TOKENS)(
        patches
    )
    if position == "sine":
        tokens = keras.layers.Add(name="positioned")(
            [tokens, SinePositionEncoding2D(name=ViT.POSITIONS)(patches)]
        )
    if num_class:
        tokens = ClassToken(num_class, name=ViT.CLASS_TOKEN)(tokens)
    if position == "learned_1d":
        tokens = PositionEmbedding(
            num_leading_tokens=num_class, interpolation=interpolation, **options
        )(tokens, feature_map=patches)
    if num_register:
        start = keras.initializers.RandomNormal(stddev=REGISTER_STD)
        tokens = ClassToken(
            num_register, num_class, start, name=ViT.REGISTER_TOKENS
        )(tokens)
    return tokens, arguments


def rotary_rule(num_leading_tokens, base=100.0):
    """DINOv3's (Simeoni et al. 2025): the fastest channel rotates once from
    the middle of the image to its edge."""
    return RotaryPositions2D(
        base=base,
        scale=4 * math.pi,
        origin=0.5,
        num_leading_tokens=num_leading_tokens,
    )
