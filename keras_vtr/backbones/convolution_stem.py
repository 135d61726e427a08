import keras


def build_convolution_stem(
    image_shape=(None, None, 3), filters=(32, 64, 96), name="convolution_stem"
):
    """Builds a small backbone: 3 x 3 convolutions that each halve the image.

    For small images and for learning; for photographs take a ResNet. The
    normalization is over the channels of each pixel (`LayerNormalization`),
    so that no image depends on its neighbours in the batch and a batch of any
    size trains alike.

    Args:
        image_shape: (height, width, channels) of the images; height and width
            may be None.
        filters: Number of channels after each convolution. The feature map
            is `2 ** len(filters)` times smaller than the image.
        name: Name of the model.

    Returns:
        A functional model, (B, height, width, channels) images to a
        (B, height / 2 ** n, width / 2 ** n, filters[-1]) feature map.

    Raises:
        ValueError: If `filters` is empty.

    Example:

    >>> stem = keras_vtr.backbones.build_convolution_stem((64, 64, 1))
    >>> print(stem.output_shape)
    (None, 8, 8, 96)
    """
    if not filters:
        raise ValueError(
            "`filters` must name at least one number of channels. Received: "
            f"filters={filters!r}"
        )
    images = keras.Input(image_shape, name="images")
    x = images
    for i, channels in enumerate(filters):
        x = keras.layers.Conv2D(
            channels, 3, strides=2, padding="same", name=f"convolution_{i}"
        )(x)
        x = keras.layers.LayerNormalization(name=f"norm_{i}")(x)
        x = keras.layers.ReLU(name=f"relu_{i}")(x)
    return keras.Model(images, x, name=name)
