"""Tokens in, tokens out: the layers that all models are made of."""

from keras_vtr.layers.anchor_decoder import AnchorAttentionBias
from keras_vtr.layers.anchor_decoder import AnchorDecoder
from keras_vtr.layers.anchor_queries import AnchorQueries
from keras_vtr.layers.anchor_queries import BoxEncoding
from keras_vtr.layers.attention import MultiHeadAttention
from keras_vtr.layers.attention_map import MultiHeadAttentionMap
from keras_vtr.layers.class_head import ClassHead
from keras_vtr.layers.class_token import ClassToken
from keras_vtr.layers.denoising_queries import DenoisingQueries
from keras_vtr.layers.feed_forward import FeedForward
from keras_vtr.layers.frozen_norm_convolution import FrozenNormConv2D
from keras_vtr.layers.local_attention import LocalAttention2D
from keras_vtr.layers.mask_head import MaskHead
from keras_vtr.layers.object_queries import ObjectQueries
from keras_vtr.layers.padding_mask import MaskPadding
from keras_vtr.layers.padding_mask import ResizePaddingMask
from keras_vtr.layers.patch_embedding import PatchEmbedding
from keras_vtr.layers.pooling import AttentionPooling
from keras_vtr.layers.pooling import TokenPooling
from keras_vtr.layers.position_embedding import PositionEmbedding
from keras_vtr.layers.position_embedding import PositionEmbedding2D
from keras_vtr.layers.position_encoding import PixelCenters
from keras_vtr.layers.position_encoding import SinePositionEncoding1D
from keras_vtr.layers.position_encoding import SinePositionEncoding2D
from keras_vtr.layers.position_rules import AddedPositions
from keras_vtr.layers.position_rules import PositionRule as PositionRule
from keras_vtr.layers.position_rules import RotaryPositions2D
from keras_vtr.layers.real_tokens import RealTokens
from keras_vtr.layers.regularization import LayerScale
from keras_vtr.layers.regularization import StochasticDepth
from keras_vtr.layers.relative_position_bias import RelativePositionBias
from keras_vtr.layers.residual import Residual
from keras_vtr.layers.standardized_convolution import StandardizedConv2D
from keras_vtr.layers.transformer_decoder import TransformerDecoder
from keras_vtr.layers.transformer_decoder import TransformerDecoderBlock
from keras_vtr.layers.transformer_encoder import TransformerEncoder
from keras_vtr.layers.transformer_encoder import TransformerEncoderBlock

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
    "AnchorAttentionBias",
    "AnchorDecoder",
    "DenoisingQueries",
    "TokenPooling",
    "AttentionPooling",
    "MultiHeadAttentionMap",
    "MaskHead",
    "StandardizedConv2D",
    "FrozenNormConv2D",
    "MaskPadding",
    "ResizePaddingMask",
    "RealTokens",
    "ClassHead",
]
