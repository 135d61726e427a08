"""Images in, feature maps out."""

from keras_vtr.backbones.bit_resnet import build_bit_resnet
from keras_vtr.backbones.convolution_stem import build_convolution_stem

__all__ = ["build_convolution_stem", "build_bit_resnet"]
