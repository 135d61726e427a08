"""ResNets, in the names of torchvision, timm, transformers.

Alone, as pretrained on ImageNet, or within a DETR.
"""

import dataclasses

from keras_vtr.backbones import build_resnet
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import convolution
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.resnet.convolutions import ConvolutionNames
from keras_vtr.pretrained.resnet.keys import read_timm_resnet
from keras_vtr.pretrained.resnet.keys import read_transformers_resnet
from keras_vtr.pretrained.tensor_file import PretrainedError

TORCHVISION = ConvolutionNames(
    stem=("conv1", "bn1"),
    block="layer{}.{}.",
    part=("conv{}", "bn{}"),
    projection=("downsample.0", "downsample.1"),
    first=(1, 0, 1),
)
TRANSFORMERS = ConvolutionNames(
    stem=("embedder.embedder.convolution", "embedder.embedder.normalization"),
    block="encoder.stages.{}.layers.{}.",
    part=("layer.{}.convolution", "layer.{}.normalization"),
    projection=("shortcut.convolution", "shortcut.normalization"),
    first=(0, 0, 0),
)
# Heads of classifiers, which a backbone doesn't need.
UNUSED = ("fc.weight", "fc.bias", "classifier.1.weight", "classifier.1.bias")


@dataclasses.dataclass
class ResNetNameMap(NameMap):
    """Makes a ResNet without a model around it.

    Args:
        num_channels: Of the images.
    """

    task = "feature maps"
    num_channels: int = 3

    def build(self, shapes, num_classes, image_shape, arguments):
        if num_classes:
            raise PretrainedError(
                "`num_classes` must be None for a ResNet's file: a backbone "
                f"has no classes. Received: num_classes={num_classes}"
            )
        arguments = {**self.arguments, **arguments}
        image_shape = image_shape or (None, None, self.num_channels)
        return build_resnet(image_shape, **arguments), ()


def recognize(shapes):
    return any(_find_names(shapes, prefix) for prefix in ("", "resnet."))


def read(shapes, config, position_grid=None):
    prefix = "" if _find_names(shapes, "") else "resnet."
    arguments, num_channels, weights = read_resnet(shapes, prefix)
    remarks = ()
    if _find_names(shapes, prefix) is TORCHVISION:
        remarks = read_timm_resnet(config)
    else:
        read_transformers_resnet(config, **arguments, num_channels=num_channels)
    config.preprocessor.disregard()  # a backbone's pixels are normalized
    return ResNetNameMap(
        "ResNet",
        arguments,
        weights,
        UNUSED,
        remarks,
        num_channels=num_channels,
    )


def read_resnet(shapes, prefix):
    """Reads a ResNet whose names begin with `prefix`.

    Returns:
        Arguments of `build_resnet`, the images' channels, and its weights.
    """
    names = _find_names(shapes, prefix)
    if names is None:
        raise PretrainedError(
            f"The backbone {prefix!r} is no ResNet that build_resnet makes."
        )
    num_blocks, pairs = names.find(shapes, prefix)
    weights = {}
    for ours, (kernel, norm) in pairs.items():
        weights |= convolution(ours, kernel, use_bias=False) | {
            f"{ours}/gamma": FromTensors((f"{norm}.weight",)),
            f"{ours}/beta": FromTensors((f"{norm}.bias",)),
            f"{ours}/moving_mean": FromTensors((f"{norm}.running_mean",)),
            f"{ours}/moving_variance": FromTensors((f"{norm}.running_var",)),
        }
    width, num_channels = shapes[f"{prefix}{names.stem[0]}.weight"][:2]
    is_bottleneck = "stage_0_block_0_convolution_2" in pairs
    arguments = {
        "num_blocks": num_blocks,
        "width": width,
        "block": "bottleneck" if is_bottleneck else "basic",
    }
    return arguments, num_channels, weights


def _find_names(shapes, prefix):
    names = (TORCHVISION, TRANSFORMERS)
    return next((x for x in names if x.are_in(shapes, prefix)), None)
