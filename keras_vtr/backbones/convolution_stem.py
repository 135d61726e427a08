import keras

from keras_vtr.strict_model import StrictModel


def build_convolution_stem(
    image_shape=(None, None, 3),
    filters=(32, 64, 96, 96),
    finer_maps=False,
    name="convolution_stem",
):
    """Builds a small backbone: images to one feature map or several.

    It consists of 3 x 3 convolutions with batch normalization, for small
    images and for learning; photographs need a ResNet. The first three
    convolutions halve the image, the later ones only widen the receptive
    field.

    Args:
        image_shape: (height, width, channels) of the images; height and width
            may be None.
        filters: Number of channels after each convolution.
        finer_maps: Whether the maps of 1/2 and 1/4 of the resolution are
            outputs, too, for a mask head.
        name: Name of the model.

    Returns:
        A functional model, (B, height, width, channels) images to a
        (B, height / 8, width / 8, filters[-1]) feature map, if there are
        three filters or more; or to a list of it and those before, finest
        first.

    Raises:
        ValueError: If `filters` is empty.

    Example:

    >>> stem = keras_vtr.backbones.build_convolution_stem((64, 64, 1))
    >>> print(stem.output_shape)
    (None, 8, 8, 96)
    """
    if not filters:
        raise ValueError(
            "`filters` must have at least one number of channels. Received: "
            f"filters={filters!r}"
        )
    images = keras.Input(image_shape, name="images")
    x, maps = images, []
    for i, channels in enumerate(filters):
        x = keras.layers.Conv2D(
            channels,
            3,
            strides=2 if i < 3 else 1,
            padding="same",
            data_format="channels_last",
            use_bias=False,  # the norm has one
            name=f"convolution_{i}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"norm_{i}")(x)
        x = keras.layers.ReLU(name=f"relu_{i}")(x)
        if i < 2 and i < len(filters) - 1:
            maps.append(x)
    return StrictModel(images, [*maps, x] if finer_maps else x, name=name)
