import keras
from keras import ops
from keras.layers import Conv2D
from keras.layers import LayerNormalization

from keras_vtr.layers.activations import activation_of
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm


@keras.saving.register_keras_serializable(package="keras_vtr")
class C2fProjection(keras.layers.Layer):
    """Projects a feature map to fewer channels, by short convolutional paths.

    Chen et al. 2024 (LW-DETR), section 3.1, "projector", and Robinson et al.
    2025 (RF-DETR): YOLOv8's "C2f" block (Jocher et al. 2023) between the
    features of several blocks of a ViT, concatenated, and the decoder. The map
    is projected to two halves; the second one passes through blocks of two
    convolutions one after the other, without skip connections; all halves and
    outputs of blocks are concatenated and projected. Each convolution is
    followed by a layer norm of the channels and an activation, the last one by
    one norm more.

    Args:
        filters: D, the number of output channels.
        num_blocks: Number of blocks.
        expansion: Channels of a block, relative to D, in (0, 1).
        activation: As in `FeedForward`.
        layer_norm_epsilon: Added to the variance in the convolutions' norms.

    Call arguments:
        feature_map: (B, height, width, C).

    Returns:
        (B, height, width, D).

    Raises:
        ValueError: If an argument is out of its range, or a shape doesn't fit.

    Example:

    >>> layer = keras_vtr.layers.C2fProjection(filters=8)
    >>> print(tuple(layer(keras.ops.ones((2, 3, 5, 24))).shape))
    (2, 3, 5, 8)
    """

    def __init__(
        self,
        filters,
        *,
        num_blocks=3,
        expansion=0.5,
        activation="silu",
        layer_norm_epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("filters", filters)
        check_positive_int("num_blocks", num_blocks)
        check_positive("layer_norm_epsilon", layer_norm_epsilon)
        check_fraction("expansion", expansion)
        if int(filters * expansion) < 1:
            raise ValueError(
                "`expansion` must leave each block a channel. Received: "
                f"filters={filters}, expansion={expansion}"
            )
        self.filters = filters
        self.num_blocks = num_blocks
        self.expansion = expansion
        self.activation = activation
        self._function = activation_of(activation)
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, feature_map_shape):
        letters = ("B", "height", "width", "C")
        check_rank("feature_map", feature_map_shape, letters)
        check_static("feature_map", feature_map_shape, -1, "channels C")
        *sides, channels = feature_map_shape
        inner = int(self.filters * self.expansion)

        def convolution(name, kernel_size, before, after):
            return self._convolution(
                name, kernel_size, (*sides, before), (*sides, after)
            )

        self.input_convolution = convolution("input", 1, channels, 2 * inner)
        self.blocks = [
            [convolution(f"block_{i}_{j}", 3, inner, inner) for j in range(2)]
            for i in range(self.num_blocks)
        ]
        joined = (2 + self.num_blocks) * inner
        self.output_convolution = convolution("output", 1, joined, self.filters)
        self.output_norm = build_sublayer(
            self, "norm", default_norm(), (*sides, self.filters)
        )

    def call(self, feature_map):
        x = self._apply(self.input_convolution, feature_map)
        parts = ops.split(x, 2, axis=-1)
        for block in self.blocks:
            x = parts[-1]
            for convolution in block:
                x = self._apply(convolution, x)
            parts.append(x)
        x = ops.concatenate(parts, axis=-1)
        return self.output_norm(self._apply(self.output_convolution, x))

    def _apply(self, layers, x):
        for layer in layers:
            x = layer(x)
        return self._function(x)

    def _convolution(self, name, kernel_size, before, after):
        """A convolution and its norm."""
        return (
            build_sublayer(
                self,
                f"{name}_convolution",
                Conv2D,
                before,
                filters=after[-1],
                kernel_size=kernel_size,
                padding="same",
                use_bias=False,
                data_format="channels_last",
            ),
            build_sublayer(
                self,
                f"{name}_norm",
                LayerNormalization,
                after,
                epsilon=self.layer_norm_epsilon,
            ),
        )

    def compute_output_shape(self, feature_map_shape):
        return (*feature_map_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "expansion": self.expansion,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }
