import math

import keras
from keras import ops

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.attention.attention_map import MultiHeadAttentionMap
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.positions.interpolation import resize_nearest


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskHead(keras.layers.Layer):
    """Computes the logits of each query's mask, the pixels of its object.

    Carion et al. 2020 (DETR), section 4.4 and figure 8: the input is each
    query's attention to the pixels (`MultiHeadAttentionMap`). Convolutions
    with group norms refine it with the feature maps of the backbone, from
    coarse to fine (FPN, Lin et al. 2017), and halve the channels at each step.
    The first convolution, over features and attention maps, is computed as the
    sum of two, because all queries share the features.

    Args:
        num_heads: H of the attention maps, a multiple of 8.

    Call arguments:
        queries: (B, L, Q, D), the answers of each decoder layer, of which only
            the last ones are drawn; D is a multiple of 16.
        memory: (B, height * width, D), the encoder's output.
        feature_map: (B, height, width, D), the input of the encoder.
        finer_maps: List of at most three feature maps of the backbone
            (B, height', width', C), finest first.
        padding_mask: Optional (B, height, width) bool, True = real.

    Returns:
        (B, 1, Q, height', width') logits, of the size of the finest map.

    Raises:
        ValueError: If D is not a multiple of 16, `num_heads` is not a multiple
            of 8, or a shape doesn't fit.

    Example:

    >>> layer = keras_vtr.layers.MaskHead(num_heads=8)
    >>> queries = keras.ops.ones((2, 3, 7, 16))
    >>> memory = keras.ops.ones((2, 12, 16))
    >>> feature_map = keras.ops.ones((2, 3, 4, 16))
    >>> finer_map = keras.ops.ones((2, 6, 8, 5))
    >>> print(tuple(layer(queries, memory, feature_map, [finer_map]).shape))
    (2, 1, 7, 6, 8)
    """

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        self.num_heads = num_heads

    def build(
        self,
        queries_shape,
        memory_shape,
        feature_map_shape,
        finer_maps_shape=(),
        padding_mask_shape=None,
    ):
        check_static("queries", queries_shape, -1, "width D")
        hidden_dim = queries_shape[-1]
        last_shape = (queries_shape[0], *queries_shape[2:])
        self._check_sizes(queries_shape, finer_maps_shape)
        self.attention_map = build_sublayer(
            self,
            "attention_map",
            MultiHeadAttentionMap,
            last_shape,
            feature_map_shape,
            num_heads=self.num_heads,
        )
        channels = hidden_dim + self.num_heads
        self.feature_convolution = self._convolution(
            "feature_convolution", channels, hidden_dim, use_bias=False
        )
        self.attention_convolution = self._convolution(
            "attention_convolution", channels, self.num_heads
        )
        self.norms = [self._norm(0, channels)]
        self.convolutions, self.adapters = [], []
        for i in range(1 + len(finer_maps_shape)):
            before, channels = channels, hidden_dim // 2 ** (i + 1)
            self.convolutions.append(
                self._convolution(f"convolution_{i + 1}", channels, before)
            )
            self.norms.append(self._norm(i + 1, channels))
        for i, shape in enumerate(reversed(finer_maps_shape)):
            check_static("finer_maps", shape, -1, "number of channels")
            self.adapters.append(
                self._convolution(
                    f"adapter_{i}", hidden_dim // 2 ** (i + 1), shape[-1], 1
                )
            )
        self.output_convolution = self._convolution(
            "output_convolution", 1, channels
        )

    def call(self, queries, memory, feature_map, finer_maps, padding_mask=None):
        queries = queries[:, -1]
        memory = ops.reshape(memory, ops.shape(feature_map))
        maps = self.attention_map(queries, memory, padding_mask=padding_mask)
        num_queries = queries.shape[1]
        maps = ops.reshape(maps, (-1, *ops.shape(maps)[2:]))  # (B * Q, ...)

        def repeat_for_queries(x):
            return ops.repeat(x, num_queries, axis=0)

        x = repeat_for_queries(self.feature_convolution(feature_map))
        x = x + self.attention_convolution(maps)
        x = ops.relu(self.norms[0](x))
        x = ops.relu(self.norms[1](self.convolutions[0](x)))
        for adapter, finer, convolution, norm in zip(
            self.adapters,
            reversed(finer_maps),
            self.convolutions[1:],
            self.norms[2:],
            strict=True,
        ):
            height, width = ops.shape(finer)[1:3]
            x = resize_nearest(x, height, width)
            x = x + repeat_for_queries(adapter(finer))
            x = ops.relu(norm(convolution(x)))
        x = self.output_convolution(x)[..., 0]
        return ops.reshape(x, (-1, 1, num_queries, *ops.shape(x)[1:]))

    def compute_output_shape(
        self,
        queries_shape,
        memory_shape,
        feature_map_shape,
        finer_maps_shape=(),
        padding_mask_shape=None,
    ):
        finest = [*finer_maps_shape, feature_map_shape][0]
        return (queries_shape[0], 1, queries_shape[2], *finest[1:3])

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}

    def _check_sizes(self, queries_shape, finer_maps_shape):
        if queries_shape[-1] % 16 or self.num_heads % 8:
            raise ValueError(
                "The width D of `queries` must be a multiple of 16, since it "
                "is halved four times, and `num_heads` of 8, the number of "
                "groups of a norm. Received: queries.shape="
                f"{tuple(queries_shape)}, num_heads={self.num_heads}"
            )
        if len(finer_maps_shape) > 3:
            raise ValueError(
                "`finer_maps` must be three at most, since channels are halved "
                f"from one to the next. Received: {len(finer_maps_shape)}"
            )

    def _convolution(self, name, filters, channels, side=3, use_bias=True):
        return build_sublayer(
            self,
            name,
            keras.layers.Conv2D,
            (None, None, None, channels),
            filters=filters,
            kernel_size=side,
            padding="same",
            data_format="channels_last",
            use_bias=use_bias,
            kernel_initializer="he_uniform",
        )

    def _norm(self, i, channels):
        return build_sublayer(
            self,
            f"norm_{i}",
            keras.layers.GroupNormalization,
            (None, None, None, channels),
            groups=math.gcd(8, channels),
            epsilon=1e-5,
        )
