"""The ResNet of a hybrid ViT, in the names of any project."""

from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained.resnet.convolutions import ConvolutionNames

STANDARDIZATION_EPSILON = 1e-8


def read_bit_resnet(
    shapes,
    names,
    width,
    convolution=from_tensors.convolution,
    norm=from_tensors.norm,
    epsilon=1e-5,
):
    """Reads the arguments of `build_bit_resnet`, and its weights.

    Args:
        shapes: Dict of tensor name to shape.
        names: The `ConvolutionNames`.
        width: Output channels of the first convolution.
        convolution: Maps a convolution, as `from_tensors.convolution` does.
        norm: Maps a norm, as `from_tensors.norm` does.
        epsilon: Of the group norms.
    """
    num_units, pairs = names.find(shapes, stem="root", block="unit")
    weights = {}
    for ours, (their_convolution, their_norm) in pairs.items():
        weights |= convolution(ours, their_convolution, use_bias=False)
        our_norm = ours.replace("_projection", "_projection_norm")
        weights |= norm(our_norm.replace("convolution", "norm"), their_norm)
    arguments = {
        "num_units": num_units,
        "width": width,
        "group_norm_epsilon": epsilon,
        "standardization_epsilon": STANDARDIZATION_EPSILON,
    }
    return arguments, weights


def read_torch_bit_resnet(shapes, stem, unit):
    """Reads timm's or transformers' names.

    Args:
        shapes: Dict of tensor name to shape.
        stem: Names of the first convolution and its norm.
        unit: Prefix of a unit, with `{}` for the numbers of stage and unit.
    """
    names = ConvolutionNames(
        stem=stem,
        block=unit,
        part=("conv{}", "norm{}"),
        projection=("downsample.conv", "downsample.norm"),
        first=(0, 0, 1),
    )
    return read_bit_resnet(shapes, names, shapes[f"{stem[0]}.weight"][0])
