import keras
from keras import ops
from keras.layers import LayerNormalization

from keras_vtr.layers.activations import exact_gelu
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.detection.mask_prediction import products
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm
from keras_vtr.layers.positions.interpolation import enlarge
from keras_vtr.layers.positions.interpolation import resize_nearest


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskEmbeddingHead(keras.layers.Layer):
    """Computes mask logits as products of pixels and queries.

    Cheng et al. 2021 (MaskFormer), section 3.3: a small network makes a mask
    embedding of each query's answer, and the logit of a pixel is the dot
    product of this embedding and the pixel's features. In the form of Robinson
    et al. 2025 (RF-DETR): the features are the memory, enlarged; before each
    decoder layer's masks one more convolutional block refines them, and one
    bias is added to all logits. All masks of all decoder layers cost little
    more than the features, so each layer is supervised.

    Args:
        upsampling: How many times finer than the finest feature map the masks
            are.
        mlp_dim: Hidden width of the network of the queries. Default: 4 D.

    Call arguments:
        queries: (B, L, Q, D), the answers of each decoder layer.
        memory: (B, height * width, D), the encoder's output.
        feature_map: (B, height, width, D), the input of the encoder.
        finer_maps: List of feature maps of the backbone (B, height', width',
            C), finest first, each of which is added to the memory (FPN, Lin et
            al. 2017). May be empty.
        padding_mask: Unused; for the call of `MaskHead`.

    Returns:
        (B, L, Q, height', width') logits, `upsampling` times the size of the
        finest map.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> layer = keras_vtr.layers.MaskEmbeddingHead(upsampling=2)
    >>> queries = keras.ops.ones((2, 3, 7, 16))
    >>> memory = keras.ops.ones((2, 12, 16))
    >>> feature_map = keras.ops.ones((2, 3, 4, 16))
    >>> print(tuple(layer(queries, memory, feature_map, []).shape))
    (2, 3, 7, 6, 8)
    """

    def __init__(self, upsampling=1, mlp_dim=None, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("upsampling", upsampling)
        if mlp_dim is not None:
            check_positive_int("mlp_dim", mlp_dim)
        self.upsampling = upsampling
        self.mlp_dim = mlp_dim

    def build(
        self,
        queries_shape,
        memory_shape,
        feature_map_shape,
        finer_maps_shape=(),
        padding_mask_shape=None,
    ):
        check_static("queries", queries_shape, -1, "width D")
        check_static("queries", queries_shape, 1, "number of layers L")
        hidden_dim = queries_shape[-1]
        pixels = (None, None, None, hidden_dim)
        answers = (None, None, hidden_dim)
        hidden = (None, None, self.mlp_dim or 4 * hidden_dim)
        self.adapters = [
            self._dense(f"adapter_{i}", hidden_dim, shape)
            for i, shape in enumerate(reversed(finer_maps_shape))
        ]
        self.blocks = [
            (
                self._depthwise(f"convolution_{i}", pixels),
                self._norm(f"norm_{i}", pixels),
                self._dense(f"dense_{i}", hidden_dim, pixels, exact_gelu),
            )
            for i in range(queries_shape[1])
        ]
        self.pixel_projection = self._dense(
            "pixel_projection", hidden_dim, pixels
        )
        self.query_norm = build_sublayer(
            self, "query_norm", LayerNormalization, answers, epsilon=1e-5
        )
        self.query_dense = self._dense(
            "query_dense", hidden[-1], answers, exact_gelu
        )
        self.query_output = self._dense("query_output", hidden_dim, hidden)
        self.query_projection = self._dense(
            "query_projection", hidden_dim, answers
        )
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, queries, memory, feature_map, finer_maps, padding_mask=None):
        x = ops.reshape(memory, ops.shape(feature_map))
        for adapter, finer in zip(
            self.adapters, reversed(finer_maps), strict=True
        ):
            x = resize_nearest(x, *ops.shape(finer)[1:3]) + adapter(finer)
        x = enlarge(x, self.upsampling)
        embeddings = self._embed(queries)  # (B, L, Q, D)
        masks = []
        for i, (convolution, norm, dense) in enumerate(self.blocks):
            x = x + dense(norm(convolution(x)))
            pixels = self.pixel_projection(x)
            masks.append(products(embeddings[:, i], pixels))
        return ops.stack(masks, axis=1) + ops.cast(self.bias, x.dtype)

    def _embed(self, queries):
        x = self.query_output(self.query_dense(self.query_norm(queries)))
        return self.query_projection(queries + x)

    def compute_output_shape(
        self,
        queries_shape,
        memory_shape,
        feature_map_shape,
        finer_maps_shape=(),
        padding_mask_shape=None,
    ):
        finest = [*finer_maps_shape, feature_map_shape][0]
        size = (
            None if side is None else self.upsampling * side
            for side in finest[1:3]
        )
        return (*queries_shape[:3], *size)

    def get_config(self):
        return {
            **super().get_config(),
            "upsampling": self.upsampling,
            "mlp_dim": self.mlp_dim,
        }

    def _dense(self, name, units, shape, activation=None):
        return build_sublayer(
            self,
            name,
            keras.layers.Dense,
            shape,
            units=units,
            activation=activation,
        )

    def _norm(self, name, shape):
        return build_sublayer(self, name, default_norm(), shape)

    def _depthwise(self, name, shape):
        return build_sublayer(
            self,
            name,
            keras.layers.DepthwiseConv2D,
            shape,
            kernel_size=3,
            padding="same",
            data_format="channels_last",
        )
