import keras
from keras import ops

from keras_vtr.layers.arguments import check_feature_map
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class FrozenNormConv2D(keras.layers.Layer):
    """Convolves a feature map and applies a batch norm of fixed statistics.

    He et al. 2015 ("Deep Residual Learning"), section 3.4, puts a batch norm
    after each convolution; Carion et al. 2020 (DETR), section 4, freezes it,
    since two images a batch are too few for statistics. A frozen norm is
    linear, so it is folded into the filters: `x * (kernel * scale) + offset`
    with `scale = gamma / sqrt(variance + epsilon)` and `offset = beta - mean *
    scale`. The kernel itself is trained.

    The padding is the same on all four sides, unlike Keras's `"same"`, as in
    torchvision, where DETR's weights come from.

    Args:
        filters: Number of output channels.
        kernel_size: Side of the kernel, odd.
        strides: Step from one output to the next.
        dilation_rate: Step from one pixel of the kernel to the next.
        epsilon: Added to the variance.

    Call arguments:
        feature_map: (B, height, width, C).

    Returns:
        (B, height / strides, width / strides, filters), rounded up.

    Raises:
        ValueError: If an argument is out of its range or the shape doesn't
            fit.

    Example:

    >>> layer = keras_vtr.layers.FrozenNormConv2D(8, kernel_size=3, strides=2)
    >>> print(tuple(layer(keras.ops.ones((2, 6, 5, 3))).shape))
    (2, 3, 3, 8)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        dilation_rate=1,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("filters", filters)
        check_positive_int("kernel_size", kernel_size)
        check_positive_int("strides", strides)
        check_positive_int("dilation_rate", dilation_rate)
        check_positive("epsilon", epsilon)
        if kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be odd, so that padding is the same on "
                f"all sides. Received: kernel_size={kernel_size}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.epsilon = epsilon

    def build(self, feature_map_shape):
        check_feature_map(feature_map_shape, channels="C")
        check_static("feature_map", feature_map_shape, -1, "number of channels")
        sides = (self.kernel_size, self.kernel_size)
        self.kernel = self.add_weight(
            shape=(*sides, feature_map_shape[-1], self.filters),
            initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
            name="kernel",
            autocast=False,
        )
        for name, start in (
            ("gamma", "ones"),
            ("beta", "zeros"),
            ("moving_mean", "zeros"),
            ("moving_variance", "ones"),
        ):
            weight = self.add_weight(
                shape=(self.filters,),
                initializer=start,
                trainable=False,
                name=name,
                autocast=False,
            )
            setattr(self, name, weight)

    def call(self, feature_map):
        kernel, offset = self.folded_weights()
        padding = "same"
        if self.strides > 1:
            padding = "valid"
            side = self.dilation_rate * (self.kernel_size - 1) // 2
            sides = ((0, 0), (side, side), (side, side), (0, 0))
            feature_map = ops.pad(feature_map, sides) if side else feature_map
        feature_map = ops.conv(
            feature_map,
            ops.cast(kernel, self.compute_dtype),
            strides=self.strides,
            padding=padding,
            data_format="channels_last",
            dilation_rate=self.dilation_rate,
        )
        return feature_map + ops.cast(offset, self.compute_dtype)

    def folded_weights(self):
        """Kernel and bias of a plain convolution that equals this layer."""
        scale = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
        return self.kernel * scale, self.beta - self.moving_mean * scale

    def compute_output_shape(self, feature_map_shape):
        batch_size, height, width, _ = feature_map_shape
        sides = (
            None if side is None else -(-side // self.strides)
            for side in (height, width)
        )
        return (batch_size, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "epsilon": self.epsilon,
        }
