import keras

from keras_vtr.layers.arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_vtr")
class StandardizedConv2D(keras.layers.Conv2D):
    """Convolves a feature map with filters of mean 0 and variance 1.

    Qiao et al. 2019 ("Weight Standardization"), section 3.1, equation 7:
    together with group normalization, it replaces batch normalization where
    batches are small. Kolesnikov et al. 2020 (BiT), section 3, and ViT's
    hybrids build their ResNets with it.

    Args:
        filters: Number of output channels.
        kernel_size: Side of the kernel.
        epsilon: Added to the variance of a filter.
        **kwargs: Those of `keras.layers.Conv2D`. Its padding `"same"` is
            that of the authors' code.

    Call arguments:
        inputs: (B, height, width, C).

    Returns:
        (B, height', width', filters).

    Raises:
        ValueError: If `epsilon` is not above 0.

    Example:

    >>> layer = keras_vtr.layers.StandardizedConv2D(8, 3, padding="same")
    >>> print(tuple(layer(keras.ops.ones((2, 6, 5, 3))).shape))
    (2, 6, 5, 8)
    """

    def __init__(self, filters, kernel_size, epsilon=1e-8, **kwargs):
        kwargs = {"data_format": "channels_last", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        check_positive("epsilon", epsilon)
        self.epsilon = epsilon

    def convolution_op(self, inputs, kernel):
        dtype = inputs.dtype
        kernel = keras.ops.cast(kernel, "float32")
        mean, variance = keras.ops.moments(kernel, (0, 1, 2), keepdims=True)
        kernel = (kernel - mean) * keras.ops.rsqrt(variance + self.epsilon)
        return super().convolution_op(inputs, keras.ops.cast(kernel, dtype))

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
