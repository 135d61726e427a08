import keras

from keras_vtr.layers import FrozenNormConv2D
from keras_vtr.layers import MaskPadding
from keras_vtr.strict_model import StrictModel

# Blocks of each stage (He et al. 2015, table 1), and the parameters of the
# convolutions, without those of the frozen norms (as DETR's authors count).
#   num_blocks      parameters
#   (3, 4, 6, 3)    23,454,912   ResNet-50
#   (3, 4, 23, 3)   42,394,816   ResNet-101
RESNET_50 = (3, 4, 6, 3)
RESNET_101 = (3, 4, 23, 3)


def build_resnet(
    image_shape=(None, None, 3),
    num_blocks=RESNET_50,
    width=64,
    dilation=False,
    padding_mask=False,
    name="resnet",
):
    """Builds DETR's backbone: images to the feature maps of all stages.

    He et al. 2015, section 4.1 and figure 5 right, in torchvision's "version
    1.5": the 3 x 3 convolution of a bottleneck has the stride, not the first
    1 x 1. All norms are frozen, and padding is the same on all sides (see
    `keras_vtr.layers.FrozenNormConv2D`). The weights are initialized at
    random. Without pretrained weights (`keras_vtr.pretrained.load_weights`)
    the frozen norms are the identity, and training is slow.

    Args:
        image_shape: (height, width, channels); height and width may be None.
        num_blocks: Number of bottleneck blocks of each stage: (3, 4, 6, 3) for
            ResNet-50, (3, 4, 23, 3) for ResNet-101.
        width: Number of channels after the stem. Each stage doubles it, and
            its output has four times as many.
        dilation: Whether the last stage has dilated convolutions instead of a
            stride: "DC5" of Carion et al. 2020 (DETR), section 4.
        padding_mask: Whether the model has a second input, `padding_mask`
            (B, height, width) bool, True = real. Then padding is set to zero
            before each convolution that reads neighbors, so that the features
            of an image don't depend on its padding.
        name: Name of the model.

    Returns:
        A functional model of images (B, height, width, channels), normalized
        to mean 0 and std 1, to the list of each stage's feature map
        (B, height / s, width / s, features), s = 4, 8, 16, 32 (or 16 again
        with `dilation`), rounded up. With `padding_mask`, from a dict of
        `images` and `padding_mask` to a dict of `feature_maps` and
        `padding_mask`, that of the last map.

    Raises:
        ValueError: If `num_blocks` is empty.

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
        filters = width * 2**stage
        for block in range(count):
            is_first = stage > 0 and block == 0
            strides = 2 if is_first and not is_dilated else 1
            rate = 2 if is_dilated and block > 0 else 1
            prefix = f"stage_{stage}_block_{block}"
            x, mask = _block(x, mask, filters, strides, rate, prefix)
        feature_maps.append(x)
    if mask is None:
        return StrictModel(images, feature_maps, name=name)
    outputs = {"feature_maps": feature_maps, "padding_mask": mask}
    return StrictModel(inputs, outputs, name=name)


def _block(x, mask, filters, strides, dilation_rate, prefix):
    """A bottleneck: 1 x 1, 3 x 3, 1 x 1, and the residual."""

    def convolution(x, filters, kernel_size, name, **options):
        name = f"{prefix}_{name}"
        return FrozenNormConv2D(filters, kernel_size, name=name, **options)(x)

    def relu(x, name):
        return keras.layers.ReLU(name=f"{prefix}_{name}")(x)

    residual = x
    if strides != 1 or x.shape[-1] != 4 * filters:
        residual = convolution(x, 4 * filters, 1, "projection", strides=strides)
    x = relu(convolution(x, filters, 1, "convolution_0"), "relu_0")
    x = convolution(
        _mask_padding(x, mask),
        filters,
        3,
        "convolution_1",
        strides=strides,
        dilation_rate=dilation_rate,
    )
    x = relu(x, "relu_1")
    x = convolution(x, 4 * filters, 1, "convolution_2")
    x = keras.layers.Add(name=f"{prefix}_residual")([residual, x])
    mask = _halve_mask(mask) if strides == 2 else mask
    return relu(x, "relu_2"), mask


def _mask_padding(x, mask):
    """Sets padding to zero, as beyond the edge of the image."""
    if mask is None:
        return x
    return MaskPadding()(x, mask)


def _halve_mask(mask):
    """The mask after stride 2: each output has its middle pixel's."""
    return None if mask is None else mask[:, ::2, ::2]
