"""The first layer of every model normalizes pixels in [0, 255]."""

import keras

from keras_vtr.stages import ViT

# Of ImageNet's red, green and blue, in [0, 255] (torchvision).
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


def image_input(image_shape):
    """Symbolic images, (B, *image_shape)."""
    if len(image_shape) != 3 or image_shape[2] is None:
        raise ValueError(
            "`image_shape` must be (height, width, channels). Received: "
            f"image_shape={image_shape}"
        )
    return keras.Input(image_shape, name=ViT.IMAGES)


def normalize_pixels(images, mean, std):
    """Subtracts the mean of each channel and divides by its standard deviation.

    Args:
        images: Symbolic (B, height, width, channels).
        mean: In [0, 255], one number for all channels or one for each.
        std: Likewise, above 0.

    Returns:
        As `images`, from a layer named "normalize_pixels".

    Raises:
        ValueError: If there is neither one number nor one for each channel,
            or a standard deviation is not above 0.
    """
    num_channels = images.shape[-1]
    mean = _per_channel("pixel_mean", mean, num_channels)
    std = _per_channel("pixel_std", std, num_channels)
    if min(std) <= 0:
        raise ValueError(
            f"`pixel_std` must be above 0. Received: pixel_std={std}"
        )
    # Three axes: Keras 3.15 moves the channels of one axis to the front if
    # `image_data_format` is "channels_first".
    return keras.layers.Rescaling(
        scale=[[[1 / d for d in std]]],
        offset=[[[-m / d for m, d in zip(mean, std, strict=True)]]],
        name=ViT.NORMALIZE_PIXELS,
    )(images)


def _per_channel(name, value, num_channels):
    value = [value] if isinstance(value, (int, float)) else list(value)
    if len(value) not in (1, num_channels):
        raise ValueError(
            f"`{name}` must be one number or one for each of the "
            f"{num_channels} channels. Received: {name}={value}"
        )
    return value * (num_channels // len(value))
