"""Images in, feature maps out."""

from keras_vtr.backbones.bit_resnet import build_bit_resnet
from keras_vtr.backbones.convolution_stem import build_convolution_stem
from keras_vtr.backbones.folding import fold_norms
from keras_vtr.backbones.resnet import build_resnet
from keras_vtr.backbones.vit import build_vit_backbone

__all__ = [
    "build_convolution_stem",
    "build_bit_resnet",
    "build_resnet",
    "build_vit_backbone",
    "fold_norms",
]
