import keras

from keras_vtr.layers import FrozenNormConv2D
from keras_vtr.layers import MaskPadding
from keras_vtr.layers.arguments import check_choice
from keras_vtr.strict_model import StrictModel

# Blocks of each stage (He et al. 2015, table 1), and the parameters of the
# convolutions, without those of the frozen norms (as DETR's authors count).
#   num_blocks      block          parameters
#   (2, 2, 2, 2)    "basic"        11,166,912   ResNet-18
#   (3, 4, 6, 3)    "basic"        21,267,648   ResNet-34
#   (3, 4, 6, 3)    "bottleneck"   23,454,912   ResNet-50
#   (3, 4, 23, 3)   "bottleneck"   42,394,816   ResNet-101
RESNET_18 = (2, 2, 2, 2)
RESNET_34 = (3, 4, 6, 3)
RESNET_50 = (3, 4, 6, 3)
RESNET_101 = (3, 4, 23, 3)
# The convolutions of a block: the side of the kernel, and how many times the
# stage's width there are filters.
BLOCKS = {
    "basic": ((3, 1), (3, 1)),
    "bottleneck": ((1, 1), (3, 1), (1, 4)),
}


def build_resnet(
    image_shape=(None, None, 3),
    num_blocks=RESNET_50,
    width=64,
    dilation=False,
    padding_mask=False,
    block="bottleneck",
    name="resnet",
):
    """Builds DETR's backbone: images to the feature maps of all stages.

    He et al. 2015, section 4.1 and figure 5, in torchvision's "version 1.5":
    the first 3 x 3 convolution of a block has the stride, not the 1 x 1 of a
    bottleneck. All norms are frozen, and padding is the same on all sides (see
    `keras_vtr.layers.FrozenNormConv2D`). The weights are initialized at
    random. Without pretrained weights (`keras_vtr.pretrained.load_weights`)
    the frozen norms are the identity, and training is slow.

    Args:
        image_shape: (height, width, channels); height and width may be None.
        num_blocks: Number of blocks of each stage: (3, 4, 6, 3) for ResNet-50,
            (3, 4, 23, 3) for ResNet-101; with basic blocks (2, 2, 2, 2) for
            ResNet-18, (3, 4, 6, 3) for ResNet-34.
        width: Number of channels after the stem. Each stage doubles it; the
            output of bottlenecks has four times as many.
        dilation: Whether the last stage has dilated convolutions instead of a
            stride: "DC5" of Carion et al. 2020 (DETR), section 4.
        padding_mask: Whether the model has a second input, `padding_mask`
            (B, height, width) bool, True = real. Then padding is set to zero
            before each convolution that reads neighbors, so that the features
            of an image don't depend on its padding.
        block: "bottleneck", convolutions of 1 x 1, 3 x 3 and 1 x 1 (figure 5,
            right), or "basic", two of 3 x 3 (left).
        name: Name of the model.

    Returns:
        A functional model of images (B, height, width, channels), normalized
        to mean 0 and std 1, to the list of each stage's feature map
        (B, height / s, width / s, features), s = 4, 8, 16, 32 (or 16 again
        with `dilation`), rounded up. With `padding_mask`, from a dict of
        `images` and `padding_mask` to a dict of `feature_maps` and
        `padding_mask`, that of the last map.

    Raises:
        ValueError: If `num_blocks` is empty, or there is no such `block`.

    Example:

    >>> resnet = keras_vtr.backbones.build_resnet((64, 96, 3), (1, 1), width=8)
    >>> print(resnet.output_shape)
    [(None, 16, 24, 32), (None, 8, 12, 64)]
    """
    if not num_blocks:
        raise ValueError(
            "`num_blocks` must have the number of blocks of a stage or more. "
            f"Received: num_blocks={num_blocks!r}"
        )
    check_choice("block", block, list(BLOCKS))
    images = keras.Input(image_shape, name="images")
    mask = None
    if padding_mask:
        mask = keras.Input(image_shape[:2], dtype="bool", name="padding_mask")
    inputs = {"images": images, "padding_mask": mask}
    x = FrozenNormConv2D(width, 7, 2, name="stem_convolution")(
        _mask_padding(images, mask)
    )
    x = keras.layers.ReLU(name="stem_relu")(x)
    mask = _halve_mask(mask)
    x = keras.layers.ZeroPadding2D(
        1, data_format="channels_last", name="stem_padding"
    )(_mask_padding(x, mask))
    x = keras.layers.MaxPooling2D(
        3, 2, data_format="channels_last", name="stem_pooling"
    )(x)
    mask = _halve_mask(mask)
    feature_maps = []
    for stage, count in enumerate(num_blocks):
        is_dilated = dilation and stage == len(num_blocks) - 1
        for number in range(count):
            is_first = stage > 0 and number == 0
            x, mask = _block(
                x,
                mask,
                [(side, width * 2**stage * n) for side, n in BLOCKS[block]],
                strides=2 if is_first and not is_dilated else 1,
                # What follows the omitted stride is dilated.
                dilation_rates=(
                    1 + (is_dilated and number > 0),
                    1 + is_dilated,
                ),
                prefix=f"stage_{stage}_block_{number}",
            )
        feature_maps.append(x)
    if mask is None:
        return StrictModel(images, feature_maps, name=name)
    outputs = {"feature_maps": feature_maps, "padding_mask": mask}
    return StrictModel(inputs, outputs, name=name)


def _block(x, mask, convolutions, strides, dilation_rates, prefix):
    """Convolutions and the residual.

    Args:
        x: (B, height, width, features).
        mask: Which pixels are real, or None.
        convolutions: Side of the kernel and number of filters of each.
        strides: Of the first 3 x 3 convolution.
        dilation_rates: Of the first 3 x 3 convolution, and of a second one.
        prefix: Of the layers' names.
    """

    def convolution(x, filters, kernel_size, name, **options):
        name = f"{prefix}_{name}"
        return FrozenNormConv2D(filters, kernel_size, name=name, **options)(x)

    def relu(x, name):
        return keras.layers.ReLU(name=f"{prefix}_{name}")(x)

    residual = x
    last, (_, num_features) = len(convolutions) - 1, convolutions[-1]
    if strides != 1 or x.shape[-1] != num_features:
        residual = convolution(
            x, num_features, 1, "projection", strides=strides
        )
    for i, (kernel_size, filters) in enumerate(convolutions):
        options = {}
        if kernel_size > 1:
            x = _mask_padding(x, mask)
            options = {"strides": strides, "dilation_rate": dilation_rates[0]}
            mask = _halve_mask(mask) if strides == 2 else mask
            strides, dilation_rates = 1, dilation_rates[1:]
        x = convolution(x, filters, kernel_size, f"convolution_{i}", **options)
        if i < last:
            x = relu(x, f"relu_{i}")
    x = keras.layers.Add(name=f"{prefix}_residual")([residual, x])
    return relu(x, f"relu_{last}"), mask


def _mask_padding(x, mask):
    """Sets padding to zero, as beyond the edge of the image."""
    if mask is None:
        return x
    return MaskPadding()(x, mask)


def _halve_mask(mask):
    """The mask after stride 2: each output has its middle pixel's."""
    return None if mask is None else mask[:, ::2, ::2]
