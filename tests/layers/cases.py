"""Arguments of `check_layer` for each public layer."""

import keras

from keras_vtr import layers
from tests.layer_checks import made

CASES = []


def case(layer_class, config, shapes, output_shape, **options):
    CASES.append((layer_class, config, shapes, output_shape, options))


def parts(**change):
    """Parts of blocks, as functions that make them under a dtype policy."""
    return {
        "attention": lambda: layers.MultiHeadAttention(
            3, attention_dropout=0.2
        ),
        "feed_forward": lambda: layers.FeedForward(
            13, activation="relu", dropout=0.1
        ),
        "norm": norm,
        "dropout": 0.1,
        **change,
    }


def in_a_block(block_class, config):
    return lambda: block_class(**made(config))


def norm():
    return keras.layers.LayerNormalization(epsilon=1e-3)


# The bias of the keys adds the same number to all logits of a softmax.
ATTENTION = {"without_gradient": ["key_projection/bias"]}
TOKENS = {"tokens": (2, 5, 12)}
MAP = {"feature_map": (2, 7, 5, 3)}
MASKED_MAP = {**MAP, "padding_mask": (2, 7, 5)}

case(
    layers.PatchEmbedding,
    {"hidden_dim": 11, "patch_size": 2},
    {"images": (2, 6, 10, 3)},
    (2, 15, 11),
)
case(layers.ClassToken, {"num_tokens": 3}, TOKENS, (2, 8, 12))

FIXED = {"lengths_are_free": False}
GRID = {"tokens": (2, 16, 8), "feature_map": (2, 3, 5, 8)}
for grid_shape, options in ((None, FIXED), ((4, 7), {})):
    case(
        layers.PositionEmbedding,
        {
            "grid_shape": grid_shape,
            "num_leading_tokens": 1,
            "interpolation": "bicubic",
        },
        GRID,
        (2, 16, 8),
        **options,
    )
    case(
        layers.PositionEmbedding2D,
        {"grid_shape": grid_shape, "interpolation": "bilinear"},
        {"feature_map": (2, 3, 5, 8)},
        (2, 3, 5, 8),
        **options,
    )
    case(
        layers.RelativePositionBias,
        {"num_heads": 2, "grid_shape": grid_shape, "num_leading_tokens": 2},
        {"feature_map": (1, 3, 5, 7)},
        (1, 2, 17, 17),
        batch_is_free=False,
        **options,
    )
case(layers.PositionEmbedding, {}, TOKENS, (2, 5, 12), **FIXED)
case(layers.SinePositionEncoding1D, {"temperature": 20}, TOKENS, (2, 5, 12))
case(
    layers.SinePositionEncoding2D,
    {"temperature": 20},
    {"feature_map": (2, 3, 5, 12), "padding_mask": (2, 3, 5)},
    (2, 15, 12),
)

case(
    layers.MultiHeadAttention,
    {"num_heads": 3, "attention_dropout": 0.1},
    {
        "query": (2, 5, 12),
        "key": (2, 7, 13),
        "value": (2, 7, 17),
        "query_positions": (2, 5, 12),
        "key_positions": (2, 7, 13),
        "padding_mask": (2, 7),
    },
    (2, 5, 12),
    **ATTENTION,
)
case(
    layers.MultiHeadAttention,
    {"num_heads": 3, "attention_dropout": 0.1, "query_chunk_size": 4},
    {
        "query": (2, 11, 12),
        "key": (2, 7, 13),
        "value": (2, 7, 17),
        "padding_mask": (2, 7),
        "attention_mask": (2, 11, 7),
    },
    (2, 11, 12),
    **ATTENTION,
)
case(
    layers.MultiHeadAttention,
    {
        "num_heads": 3,
        "query_key_norm": norm,
        "position_rule": layers.RotaryPositions2D,
    },
    {"query": (2, 5, 12), "query_positions": (2, 5, 2)},
    (2, 5, 12),
)
case(
    layers.AddedPositions,
    {},
    {"tokens": (2, 5, 12), "positions": (2, 5, 12)},
    (2, 5, 12),
)
case(
    layers.RotaryPositions2D,
    {"base": 10.0, "scale": 3.0, "origin": 0.5, "num_leading_tokens": 2},
    {"heads": (2, 3, 7, 8), "positions": (2, 5, 2)},
    (2, 3, 7, 8),
    **FIXED,
)
for normalize_first in (True, False):
    case(
        layers.Residual,
        {
            "layer": lambda: layers.MultiHeadAttention(3),
            "norm": norm,
            "normalize_first": normalize_first,
            "dropout": 0.1,
            "layer_scale": 0.5,
        },
        {"tokens": (2, 5, 12), "memory": (2, 7, 13)},
        (2, 5, 12),
        **ATTENTION,
    )
for options, sides in (
    ({"kernel_size": 5, "strides": 2}, (4, 3)),
    ({"kernel_size": 3, "padding": "valid"}, (5, 3)),
):
    case(
        layers.LocalAttention2D,
        {"filters": 12, "num_heads": 3, **options},
        MAP,
        (2, *sides, 12),
    )

for activation in ("gelu", "swiglu", "silu"):
    case(
        layers.FeedForward,
        {"mlp_dim": 11, "dropout": 0.1, "activation": activation},
        TOKENS,
        (2, 5, 12),
    )
case(
    layers.LayerScale, {"initial_value": 0.1}, {"branch": (2, 5, 7)}, (2, 5, 7)
)
for shape in ((2, 5, 7), (2, 5)):
    case(
        layers.StochasticDepth,
        {"rate": 0.3, "seed": 5},
        {"branch": shape},
        shape,
    )

ENCODER = {**TOKENS, "positions": (2, 5, 12), "padding_mask": (2, 5)}
DECODER = {
    "queries": (3, 5, 12),
    "memory": (3, 7, 11),
    "query_positions": (3, 5, 12),
    "memory_positions": (3, 7, 11),
    "padding_mask": (3, 7),
}
for normalize_first in (True, False):
    config = parts(normalize_first=normalize_first)
    case(
        layers.TransformerEncoderBlock,
        config,
        ENCODER,
        (2, 5, 12),
        **ATTENTION,
    )
    case(
        layers.TransformerDecoderBlock,
        {**config, "cross_attention": lambda: layers.MultiHeadAttention(2)},
        DECODER,
        (3, 5, 12),
        **ATTENTION,
    )
    case(
        layers.TransformerEncoder,
        {
            "block": in_a_block(layers.TransformerEncoderBlock, config),
            "num_layers": 2,
            "norm": norm,
        },
        ENCODER,
        (2, 5, 12),
        **ATTENTION,
    )
    case(
        layers.TransformerDecoder,
        {
            "block": in_a_block(layers.TransformerDecoderBlock, config),
            "num_layers": 2,
            "norm": norm,
            "return_every_layer": normalize_first,
        },
        DECODER,
        (3, 2, 5, 12) if normalize_first else (3, 5, 12),
        **ATTENTION,
    )

for window_size, mask in (((2, 3), {}), (None, {"padding_mask": (2, 3, 5)})):
    case(
        layers.FeatureMapEncoder,
        {
            "block": in_a_block(layers.TransformerEncoderBlock, parts()),
            "num_layers": 3,
            "norm": norm,
            "feature_blocks": (0, 2),
            "window_size": window_size,
            "global_blocks": window_size and (1,),
            "num_leading_tokens": 1,
        },
        {"tokens": (2, 16, 12), "feature_map": (2, 3, 5, 12), **mask},
        (2, 3, 5, 24),
        **ATTENTION,
    )

case(
    layers.FeatureMapEncoder,
    {
        "block": in_a_block(layers.TransformerEncoderBlock, parts()),
        "num_layers": 2,
        "norm": norm,
        "num_windows": 2,
        "global_blocks": (1,),
    },
    {"tokens": (2, 15, 12), "feature_map": (2, 3, 5, 12)},
    (2, 3, 5, 12),
    **ATTENTION,
)
case(
    layers.C2fProjection,
    {
        "filters": 10,
        "num_blocks": 2,
        "expansion": 0.3,
        "activation": "gelu",
        "layer_norm_epsilon": 1e-3,
    },
    {"feature_map": (2, 7, 5, 11)},
    (2, 7, 5, 10),
)
case(layers.ObjectQueries, {"num_queries": 3}, {"memory": (2, 5, 7)}, (2, 3, 7))
case(
    layers.AnchorQueries,
    {"num_queries": 5},
    {"memory": (2, 7, 8)},
    (2, 5, 4),
    output_dtype="float32",
)
case(
    layers.BoxEncoding,
    {"hidden_dim": 12, "temperature": 100},
    {"boxes": (2, 5, 4)},
    (2, 5, 12),
)
case(layers.PixelCenters, {}, MASKED_MAP, (2, 35, 2))
case(
    layers.AxisCenters,
    {},
    MASKED_MAP,
    [(2, 5), (2, 7)],
    output_dtype=["float32"] * 2,
)
BOXES = {"boxes": (2, 5, 4), "centers": [(2, 7), (2, 3)]}
case(layers.AnchorAttentionBias, {"num_heads": 3}, BOXES, (2, 3, 5, 21))
for prior in (None, lambda: layers.AnchorAttentionBias(3)):
    case(
        layers.BoxPositionBias,
        {"num_heads": 3, "mlp_dim": 11, "prior": prior},
        BOXES,
        (2, 3, 5, 21),
    )
for refinement in (layers.LogitRefinement, layers.RelativeRefinement):
    case(
        refinement,
        {},
        {"boxes": (2, 5, 4), "moves": (2, 5, 4)},
        (2, 5, 4),
        output_dtype="float32",
    )
case(
    layers.DeformableAttention,
    {"num_heads": 3, "num_points": 2},
    {
        "query": (2, 5, 12),
        "key": (2, 14, 7),
        "boxes": (2, 5, 4),
        "centers": [(2, 7), (2, 2)],
    },
    (2, 5, 12),
)
case(
    layers.AnchorDecoder,
    {
        "block": in_a_block(
            layers.TransformerDecoderBlock,
            parts(
                attention=lambda: layers.MultiHeadAttention(2),
                cross_attention=lambda: layers.DeformableAttention(4, 3),
            ),
        ),
        "num_layers": 2,
        "norm": norm,
        "box_refinement": layers.RelativeRefinement,
        "iterative_refinement": False,
    },
    {
        "queries": (3, 5, 8),
        "anchors": (3, 5, 4),
        "memory": (3, 14, 8),
        "centers": [(3, 7), (3, 2)],
    },
    [(3, 2, 5, 8), (3, 2, 5, 4), (3, 2, 5, 4)],
    output_dtype=[None, "float32", "float32"],
    **ATTENTION,
)
case(
    layers.AnchorDecoder,
    {
        "block": in_a_block(
            layers.TransformerDecoderBlock,
            parts(attention=lambda: layers.MultiHeadAttention(2)),
        ),
        "num_layers": 2,
        "norm": norm,
    },
    {
        "queries": (3, 5, 8),
        "anchors": (3, 5, 4),
        "memory": (3, 14, 8),
        "centers": [(3, 7), (3, 2)],
    },
    [(3, 2, 5, 8), (3, 2, 5, 4), (3, 2, 5, 4)],
    output_dtype=[None, "float32", "float32"],
    **ATTENTION,
)
for classifier, num_logits in (("softmax", 4), ("sigmoid", 3)):
    case(
        layers.QuerySelection,
        {
            "num_queries": 5,
            "num_classes": 3,
            "classifier": classifier,
            "side": 0.1,
            "margin": 0.2,
            "learned_moves": classifier == "sigmoid",
        },
        {"memory": (2, 6, 8), "centers": [(2, 3), (2, 2)]},
        [(2, 5, 4), (2, 5, num_logits), (2, 5, 4), (2, 5, 4)],
        output_dtype=["float32"] * 4,
    )
case(
    layers.DenoisingQueries,
    {
        "num_groups": 3,
        "num_classes": 7,
        "hidden_dim": 8,
        "box_noise": 0.0,
        "label_noise": 0.0,
        "seed": 3,
    },
    {"boxes": (2, 4, 4), "labels": (2, 4)},
    [(2, 12, 8), (2, 12, 4), (2, 12, 12)],
    output_dtype=[None, "float32", "bool"],
    **FIXED,
)

case(
    layers.ClassHead,
    {"units": 3, "class_names": ("a", None)},
    {"inputs": (2, 5, 7)},
    (2, 5, 3),
)
for pooling, width in (("class_token", 12), ("class_token_and_mean", 24)):
    case(
        layers.TokenPooling,
        {"pooling": pooling, "num_leading_tokens": 2},
        TOKENS,
        (2, width),
    )
case(
    layers.AttentionPooling,
    {
        "attention": lambda: layers.MultiHeadAttention(3),
        "feed_forward": lambda: layers.FeedForward(7, activation="gelu_tanh"),
        "norm": norm,
    },
    {**TOKENS, "padding_mask": (2, 5)},
    (2, 12),
    **ATTENTION,
)
case(
    layers.MultiHeadAttentionMap,
    {"num_heads": 4},
    {
        "queries": (2, 3, 8),
        "memory": (2, 7, 5, 8),
        "padding_mask": (2, 7, 5),
    },
    (2, 3, 7, 5, 4),
)
FINER = [(2, 23, 19, 3), (2, 13, 11, 6)]
for finer_maps, finest in (([], (7, 5)), (FINER, (23, 19))):
    # A norm whose groups are single channels cancels the bias before it.
    num_single = 1 + len(finer_maps)
    case(
        layers.MaskHead,
        {"num_heads": 8},
        {
            "queries": (2, 2, 3, 16),
            "memory": (2, 35, 16),
            "feature_map": (2, 7, 5, 16),
            "finer_maps": finer_maps,
            "padding_mask": (2, 7, 5),
        },
        (2, 1, 3, *finest),
        without_gradient=[
            f"/convolution_{i + 1}/bias" for i in range(num_single)
        ],
    )
    case(
        layers.MaskEmbeddingHead,
        {"upsampling": 3, "mlp_dim": 13},
        {
            "queries": (2, 2, 3, 6),
            "memory": (2, 35, 6),
            "feature_map": (2, 7, 5, 6),
            "finer_maps": finer_maps,
        },
        (2, 2, 3, *(3 * side for side in finest)),
        lengths_are_free=False,
    )

case(
    layers.MaskPrediction,
    {"upsampling": 2},
    {"queries": (2, 3, 6), "patches": (2, 7, 5, 6)},
    (2, 3, 14, 10),
)
for mask_steps in (None, 4):
    case(
        layers.MaskQueryEncoder,
        {
            "block": lambda: layers.TransformerEncoderBlock(
                layers.MultiHeadAttention(3), layers.FeedForward(13)
            ),
            "num_layers": 3,
            "num_queries": 5,
            "num_query_blocks": 2,
            "num_leading_tokens": 1,
            "upsampling": 2,
            "mask_steps": mask_steps,
        },
        {"tokens": (2, 36, 6), "feature_map": (2, 7, 5, 6)},
        [(2, 5, 6), (2, 5, 14, 10), (2, 2, 5, 6), (2, 2, 5, 14, 10)],
        without_gradient=["key_projection/bias"],
    )
for inputs in (
    {"tokens": (2, 36, 6), "feature_map": (2, 7, 5, 6)},
    {
        "tokens": (2, 36, 6),
        "feature_map": (2, 7, 5, 6),
        "padding_mask": (2, 7, 5),
    },
):
    case(
        layers.DetectionTokenEncoder,
        {
            "block": lambda: layers.TransformerEncoderBlock(
                layers.MultiHeadAttention(3), layers.FeedForward(13)
            ),
            "num_layers": 3,
            "num_queries": 5,
            "num_leading_tokens": 1,
            "position_grid": (3, 2),
        },
        inputs,
        (2, 5, 6),
        without_gradient=["key_projection/bias"],
    )

case(
    layers.StandardizedConv2D,
    {"filters": 5, "kernel_size": (3, 3), "epsilon": 1e-6},
    {"inputs": (2, 7, 6, 3)},
    (2, 5, 4, 5),
)
for options, sides in (
    ({"strides": 2}, (4, 3)),
    ({"dilation_rate": 2, "epsilon": 0.1}, (7, 5)),
):
    case(
        layers.FrozenNormConv2D,
        {"filters": 5, "kernel_size": 3, **options},
        MAP,
        (2, *sides, 5),
    )
case(
    layers.FeaturePyramid,
    {"scales": (4, 2, 1, 0.5)},
    {"feature_map": (2, 7, 5, 8), "padding_mask": (2, 7, 5)},
    [(2, 28, 20, 2), (2, 14, 10, 4), (2, 7, 5, 8), (2, 4, 3, 8)],
)
case(layers.MaskPadding, {}, MASKED_MAP, (2, 7, 5, 3))
case(
    layers.PadToMultiple,
    {"multiple": 4},
    {"images": (2, 5, 3, 7)},
    (2, 8, 4, 7),
)
case(
    layers.PatchGrid,
    {"num_leading_tokens": 1},
    {"tokens": (2, 16, 8), "feature_map": (2, 3, 5, 7)},
    (2, 3, 5, 8),
)
case(
    layers.ResizePaddingMask,
    {},
    {"padding_mask": (2, 13, 11), "feature_map": (2, 5, 3, 7)},
    (2, 5, 3),
    output_dtype="bool",
)
case(
    layers.RealTokens,
    {"padding_token": 3},
    {"tokens": (2, 5)},
    (2, 5),
    output_dtype="bool",
)
