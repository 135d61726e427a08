"""ResNets with bottlenecks as torchvision and timm, or transformers, name them.

Alone, as trained on ImageNet, or within a DETR.
"""

import dataclasses
import re

from keras_vtr.backbones import build_resnet
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import convolution
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.resnet.keys import read_timm_resnet
from keras_vtr.pretrained.resnet.keys import read_transformers_resnet
from keras_vtr.pretrained.tensor_file import PretrainedError

# Names of convolution and norm: of the stem, of a block's three and of its
# projection; {stage} counts from {first}, {part} too.
TORCHVISION = {
    "stem": ("conv1", "bn1"),
    "block": "layer{stage}.{block}",
    "part": ("conv{part}", "bn{part}"),
    "projection": ("downsample.0", "downsample.1"),
    "first": 1,
}
TRANSFORMERS = {
    "stem": (
        "embedder.embedder.convolution",
        "embedder.embedder.normalization",
    ),
    "block": "encoder.stages.{stage}.layers.{block}",
    "part": ("layer.{part}.convolution", "layer.{part}.normalization"),
    "projection": ("shortcut.convolution", "shortcut.normalization"),
    "first": 0,
}
# Heads of classifiers, which a backbone has no use for.
UNUSED = ("fc.weight", "fc.bias", "classifier.1.weight", "classifier.1.bias")


@dataclasses.dataclass
class ResNetNameMap(NameMap):
    """How to make a ResNet alone.

    Args:
        num_channels: Of the images.
    """

    num_channels: int = 3

    def build(self, shapes, num_classes, image_shape, arguments):
        if num_classes:
            raise PretrainedError(
                "A ResNet's file becomes a backbone, which has no "
                f"classes. Received: num_classes={num_classes}"
            )
        arguments = {**self.arguments, **arguments}
        image_shape = image_shape or (None, None, self.num_channels)
        return build_resnet(image_shape, **arguments), ()


def recognize(shapes):
    return any(_find(shapes, prefix) for prefix in ("", "resnet."))


def read(shapes, config, position_grid=None):
    prefix = "" if _find(shapes, "") else "resnet."
    arguments, num_channels, weights = read_resnet(shapes, prefix)
    remarks = ()
    if _find(shapes, prefix) is TORCHVISION:
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
    """From names with `prefix`.

    Returns:
        Arguments of `build_resnet`, the images' channels, and its weights.
    """
    names = _find(shapes, prefix)
    if names is None:
        raise PretrainedError(
            f"The backbone {prefix!r} is no ResNet with bottlenecks, which is "
            "all that build_resnet makes."
        )
    block, first = prefix + names["block"], names["first"]
    pattern = re.escape(block).replace(r"\{stage\}", r"(\d+)")
    pattern = pattern.replace(r"\{block\}", r"(\d+)") + r"\."
    found = (re.match(pattern, name) for name in shapes)
    blocks = {tuple(int(x) for x in y.groups()) for y in found if y}
    num_stages = 1 + max(stage for stage, _ in blocks) - first
    num_blocks = [
        sum(stage - first == i for stage, _ in blocks)
        for i in range(num_stages)
    ]
    weights = _pair("stem_convolution", prefix, names["stem"])
    for stage, i in sorted(blocks):
        theirs = block.format(stage=stage, block=i) + "."
        ours = f"stage_{stage - first}_block_{i}"
        for part in range(3):
            pair = [x.format(part=part + first) for x in names["part"]]
            weights |= _pair(f"{ours}_convolution_{part}", theirs, pair)
        if f"{theirs}{names['projection'][0]}.weight" in shapes:
            weights |= _pair(f"{ours}_projection", theirs, names["projection"])
    width, num_channels = shapes[f"{prefix}{names['stem'][0]}.weight"][:2]
    arguments = {"num_blocks": tuple(num_blocks), "width": width}
    return arguments, num_channels, weights


def _find(shapes, prefix):
    """Which names the file has, by a bottleneck's third convolution."""
    for names in (TORCHVISION, TRANSFORMERS):
        first = names["first"]
        block = names["block"].format(stage=first, block=0)
        part = names["part"][0].format(part=first + 2)
        if f"{prefix}{block}.{part}.weight" in shapes:
            return names
    return None


def _pair(ours, prefix, names):
    """One of our layers from their convolution and norm."""
    kernel, norm = (prefix + name for name in names)
    return convolution(ours, kernel, use_bias=False) | {
        f"{ours}/gamma": FromTensors((f"{norm}.weight",)),
        f"{ours}/beta": FromTensors((f"{norm}.bias",)),
        f"{ours}/moving_mean": FromTensors((f"{norm}.running_mean",)),
        f"{ours}/moving_variance": FromTensors((f"{norm}.running_var",)),
    }
