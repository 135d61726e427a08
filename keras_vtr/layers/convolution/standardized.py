import keras

from keras_vtr.layers.arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_vtr")
class StandardizedConv2D(keras.layers.Conv2D):
    """A convolution whose filters always have mean 0 and variance 1.

    Qiao et al. 2019 ("Weight Standardization"), section 3.1, equation 7: with
    group normalization it does for small batches what batch normalization
    does for large ones. Kolesnikov et al. 2020 (BiT), section 3, builds its
    ResNets so, and ViT's hybrids took them over.

    Args:
        filters: Number of output channels.
        kernel_size: Side of the kernel.
        epsilon: Added to the variance of a filter.
        **kwargs: Those of `keras.layers.Conv2D`; padding `"same"` is
            TensorFlow's, as in the authors' code.

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
        exact = keras.ops.cast(kernel, "float32")
        mean, variance = keras.ops.moments(exact, (0, 1, 2), keepdims=True)
        exact = (exact - mean) * keras.ops.rsqrt(variance + self.epsilon)
        return super().convolution_op(
            inputs, keras.ops.cast(exact, inputs.dtype)
        )

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
