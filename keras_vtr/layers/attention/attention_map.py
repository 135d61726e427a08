import keras
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.parts import build_sublayer


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiHeadAttentionMap(keras.layers.Layer):
    """Computes each query's attention to a feature map, one map for each head.

    Carion et al. 2020 (DETR), section 4.4 and figure 8: attention without
    values, whose weights the mask head reads. As in the authors' code, they
    sum to 1 over all pixels of *all heads* together.

    Args:
        num_heads: H. Must divide the width D of the queries.

    Call arguments:
        queries: (B, Q, D).
        memory: (B, height, width, D).
        padding_mask: Optional (B, height, width) bool, True = real.

    Returns:
        (B, Q, height, width, H).

    Raises:
        ValueError: If `num_heads` doesn't divide D or a shape doesn't fit.

    Example:

    >>> queries = keras.ops.ones((2, 5, 8))
    >>> memory = keras.ops.ones((2, 3, 4, 8))
    >>> layer = keras_vtr.layers.MultiHeadAttentionMap(num_heads=2)
    >>> print(tuple(layer(queries, memory).shape))
    (2, 5, 3, 4, 2)
    """

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        self.num_heads = num_heads

    def build(self, queries_shape, memory_shape, padding_mask_shape=None):
        check_rank("queries", queries_shape, ("B", "Q", "D"))
        check_rank("memory", memory_shape, ("B", "height", "width", "D"))
        hidden_dim = queries_shape[-1]
        if hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width D of the queries. Received: "
                f"num_heads={self.num_heads}, "
                f"queries.shape={tuple(queries_shape)}"
            )
        self.key_dim = hidden_dim // self.num_heads
        self.query_projection = build_sublayer(
            self, "query_projection", Dense, queries_shape, units=hidden_dim
        )
        self.key_projection = build_sublayer(
            self, "key_projection", Dense, memory_shape, units=hidden_dim
        )

    def call(self, queries, memory, padding_mask=None):
        batch_size, num_queries, _ = ops.shape(queries)
        _, height, width, _ = ops.shape(memory)
        heads = (self.num_heads, self.key_dim)
        queries = self.query_projection(queries) * self.key_dim**-0.5
        queries = ops.reshape(queries, (batch_size, num_queries, *heads))
        queries = ops.transpose(queries, (0, 2, 1, 3))  # (B, H, Q, key_dim)
        keys = self.key_projection(memory)
        keys = ops.reshape(keys, (batch_size, height * width, *heads))
        keys = ops.transpose(keys, (0, 2, 3, 1))  # (B, H, key_dim, N)
        logits = ops.cast(ops.matmul(queries, keys), "float32")
        logits = ops.transpose(logits, (0, 2, 3, 1))  # (B, Q, N, H)
        if padding_mask is not None:
            real = ops.reshape(padding_mask, (batch_size, 1, height * width, 1))
            logits = ops.where(ops.cast(real, "bool"), logits, -1e30)
        length = height * width * self.num_heads
        logits = ops.reshape(logits, (batch_size, num_queries, length))
        maps = ops.cast(ops.softmax(logits, axis=-1), self.compute_dtype)
        shape = (batch_size, num_queries, height, width, self.num_heads)
        return ops.reshape(maps, shape)

    def compute_output_shape(
        self, queries_shape, memory_shape, padding_mask_shape=None
    ):
        return (*queries_shape[:2], *memory_shape[1:3], self.num_heads)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
