import keras

from keras_vtr.layers import StandardizedConv2D
from keras_vtr.strict_model import StrictModel

# Units of each stage, and the ViT after it (Dosovitskiy et al. 2020, section
# 4.1; Steiner et al. 2021, table 2).
#   num_units     stride  with                        parameters without head
#   ()            4       tiny, patch 8: R+Ti/16            6,144,704
#   (3, 4, 9)     16      base, patch 1: R50+B/16          97,890,112
#   (2, 2, 2, 2)  32      small, patch 1: R26+S/32         36,046,912
#   (3, 4, 6, 3)  32      large, patch 1: R50+L/32        327,969,856


def build_bit_resnet(
    image_shape=(None, None, 3),
    num_units=(3, 4, 9),
    width=64,
    group_norm_epsilon=1e-6,
    standardization_epsilon=1e-8,
    name="bit_resnet",
):
    """Builds the backbone of ViT's hybrids: images to one feature map.

    Dosovitskiy et al. 2020 (ViT), section 3.1, "Hybrid Architecture": a
    ResNet with group normalization and standardized convolutions, as in
    Kolesnikov et al. 2020 (BiT), section 3. Unlike BiT's own networks it
    normalizes after each convolution, not before. `num_units=(3, 4, 9)` moves
    the units of ResNet-50's stage 4 to stage 3, so that the feature map has
    1/16 of the image's sides; the empty tuple keeps only the root.

    Args:
        image_shape: (height, width, channels); height and width may be None.
        num_units: Number of bottleneck units of each stage.
        width: Number of channels after the root. Each stage doubles it, and
            its output has four times as many.
        group_norm_epsilon: Added to the variance in the group norms.
        standardization_epsilon: Added to the variance of a filter.
        name: Name of the model.

    Returns:
        A functional model, (B, height, width, channels) images to a feature
        map (B, height / s, width / s, features), s = 4 for the root alone and
        4, 8, 16, 32 with one to four stages; sizes are rounded up.

    Raises:
        ValueError: If `width` is not a multiple of 32, the number of groups.

    Example:

    >>> resnet = keras_vtr.backbones.build_bit_resnet((64, 64, 3), (1, 1), 32)
    >>> print(resnet.output_shape)
    (None, 8, 8, 256)
    """
    if width % 32:
        raise ValueError(
            "`width` must be a multiple of 32, the number of groups of a "
            f"group norm. Received: width={width}"
        )

    def convolution(x, filters, kernel_size, strides, name):
        return StandardizedConv2D(
            filters,
            kernel_size,
            epsilon=standardization_epsilon,
            strides=strides,
            padding="same",
            use_bias=False,  # the norm has one
            name=name,
        )(x)

    def norm(x, name, start="ones"):
        return keras.layers.GroupNormalization(
            32,
            epsilon=group_norm_epsilon,
            gamma_initializer=start,
            name=name,
        )(x)

    images = keras.Input(image_shape, name="images")
    x = convolution(images, width, 7, 2, "root_convolution")
    x = keras.layers.ReLU(name="root_relu")(norm(x, "root_norm"))
    x = keras.layers.MaxPooling2D(
        3, 2, "same", data_format="channels_last", name="root_pooling"
    )(x)
    for stage, count in enumerate(num_units):
        for unit in range(count):
            strides = 2 if stage > 0 and unit == 0 else 1
            filters = width * 2**stage
            prefix = f"stage_{stage}_unit_{unit}"
            x = _unit(x, filters, strides, prefix, convolution, norm)
    return StrictModel(images, x, name=name)


def _unit(x, filters, strides, prefix, convolution, norm):
    """A bottleneck: 1 x 1, 3 x 3, 1 x 1, and the residual."""

    def relu(x, name):
        return keras.layers.ReLU(name=f"{prefix}_{name}")(x)

    residual = x
    if strides != 1 or x.shape[-1] != 4 * filters:
        residual = convolution(
            x, 4 * filters, 1, strides, f"{prefix}_projection"
        )
        residual = norm(residual, f"{prefix}_projection_norm")
    x = convolution(x, filters, 1, 1, f"{prefix}_convolution_0")
    x = relu(norm(x, f"{prefix}_norm_0"), "relu_0")
    x = convolution(x, filters, 3, strides, f"{prefix}_convolution_1")
    x = relu(norm(x, f"{prefix}_norm_1"), "relu_1")
    x = convolution(x, 4 * filters, 1, 1, f"{prefix}_convolution_2")
    # Zeros, so that each unit is initially the identity.
    x = norm(x, f"{prefix}_norm_2", start="zeros")
    x = keras.layers.Add(name=f"{prefix}_residual")([residual, x])
    return relu(x, "relu_2")
