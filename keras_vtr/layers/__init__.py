"""Tokens in, tokens out: the layers that all models are made of."""

from keras_vtr.layers.attention.attention_map import MultiHeadAttentionMap
from keras_vtr.layers.attention.deformable import DeformableAttention
from keras_vtr.layers.attention.local import LocalAttention2D
from keras_vtr.layers.attention.multi_head import MultiHeadAttention
from keras_vtr.layers.convolution.c2f import C2fProjection
from keras_vtr.layers.convolution.feature_pyramid import FeaturePyramid
from keras_vtr.layers.convolution.frozen_norm import FrozenNormConv2D
from keras_vtr.layers.convolution.standardized import StandardizedConv2D
from keras_vtr.layers.detection.anchor_decoder import AnchorDecoder
from keras_vtr.layers.detection.anchor_queries import AnchorQueries
from keras_vtr.layers.detection.anchor_queries import BoxEncoding
from keras_vtr.layers.detection.box_attention_bias import AnchorAttentionBias
from keras_vtr.layers.detection.box_attention_bias import BoxBias as BoxBias
from keras_vtr.layers.detection.box_attention_bias import BoxPositionBias
from keras_vtr.layers.detection.box_refinement import (
    BoxRefinement as BoxRefinement,
)
from keras_vtr.layers.detection.box_refinement import LogitRefinement
from keras_vtr.layers.detection.box_refinement import RelativeRefinement
from keras_vtr.layers.detection.denoising_queries import DenoisingQueries
from keras_vtr.layers.detection.mask_embedding_head import MaskEmbeddingHead
from keras_vtr.layers.detection.mask_head import MaskHead
from keras_vtr.layers.detection.mask_prediction import MaskPrediction
from keras_vtr.layers.detection.mask_query_encoder import MaskQueryEncoder
from keras_vtr.layers.detection.object_queries import ObjectQueries
from keras_vtr.layers.detection.query_selection import QuerySelection
from keras_vtr.layers.positions.centers import AxisCenters
from keras_vtr.layers.positions.centers import PixelCenters
from keras_vtr.layers.positions.embedding import PositionEmbedding
from keras_vtr.layers.positions.embedding_2d import PositionEmbedding2D
from keras_vtr.layers.positions.encoding import SinePositionEncoding1D
from keras_vtr.layers.positions.encoding import SinePositionEncoding2D
from keras_vtr.layers.positions.relative_bias import RelativePositionBias
from keras_vtr.layers.positions.rules import AddedPositions
from keras_vtr.layers.positions.rules import PositionRule as PositionRule
from keras_vtr.layers.positions.rules import RotaryPositions2D
from keras_vtr.layers.tokens.class_head import ClassHead
from keras_vtr.layers.tokens.class_token import ClassToken
from keras_vtr.layers.tokens.pad_to_multiple import PadToMultiple
from keras_vtr.layers.tokens.padding_mask import MaskPadding
from keras_vtr.layers.tokens.padding_mask import ResizePaddingMask
from keras_vtr.layers.tokens.patch_embedding import PatchEmbedding
from keras_vtr.layers.tokens.patch_grid import PatchGrid
from keras_vtr.layers.tokens.pooling import AttentionPooling
from keras_vtr.layers.tokens.pooling import TokenPooling
from keras_vtr.layers.tokens.real_tokens import RealTokens
from keras_vtr.layers.transformer.decoder import TransformerDecoder
from keras_vtr.layers.transformer.decoder import TransformerDecoderBlock
from keras_vtr.layers.transformer.detection_token_encoder import (
    DetectionTokenEncoder,
)
from keras_vtr.layers.transformer.encoder import TransformerEncoder
from keras_vtr.layers.transformer.encoder import TransformerEncoderBlock
from keras_vtr.layers.transformer.feature_map_encoder import FeatureMapEncoder
from keras_vtr.layers.transformer.feed_forward import FeedForward
from keras_vtr.layers.transformer.regularization import LayerScale
from keras_vtr.layers.transformer.regularization import StochasticDepth
from keras_vtr.layers.transformer.residual import Residual

__all__ = [
    "PatchEmbedding",
    "ClassToken",
    "PositionEmbedding",
    "PositionEmbedding2D",
    "SinePositionEncoding1D",
    "SinePositionEncoding2D",
    "RelativePositionBias",
    "AddedPositions",
    "RotaryPositions2D",
    "MultiHeadAttention",
    "LocalAttention2D",
    "DeformableAttention",
    "FeedForward",
    "Residual",
    "LayerScale",
    "StochasticDepth",
    "TransformerEncoderBlock",
    "TransformerEncoder",
    "TransformerDecoderBlock",
    "TransformerDecoder",
    "ObjectQueries",
    "AnchorQueries",
    "BoxEncoding",
    "PixelCenters",
    "AxisCenters",
    "QuerySelection",
    "AnchorAttentionBias",
    "BoxPositionBias",
    "LogitRefinement",
    "RelativeRefinement",
    "AnchorDecoder",
    "DenoisingQueries",
    "TokenPooling",
    "AttentionPooling",
    "MultiHeadAttentionMap",
    "MaskEmbeddingHead",
    "MaskPrediction",
    "MaskQueryEncoder",
    "DetectionTokenEncoder",
    "MaskHead",
    "StandardizedConv2D",
    "FrozenNormConv2D",
    "PatchGrid",
    "FeatureMapEncoder",
    "FeaturePyramid",
    "C2fProjection",
    "PadToMultiple",
    "MaskPadding",
    "ResizePaddingMask",
    "RealTokens",
    "ClassHead",
]
