import keras

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class ObjectQueries(keras.layers.Layer):
    """Returns learned queries, the same for every image of a batch.

    Carion et al. 2020 (DETR), section 3.2: a query is a learned position. It
    is added to the decoder's tokens in every attention, and the decoder turns
    it into one box or "no object". Each query learns to detect objects of
    certain regions and sizes (section 4.3, figure 7). All are decoded in
    parallel. The initial values are normal with std 1, as in the authors' code.

    Args:
        num_queries: Q, the largest number of objects in one image.

    Call arguments:
        memory: (B, N, D), the encoder's output. Only its shape is read.

    Returns:
        (B, Q, D), the decoder's `query_positions`.

    Raises:
        ValueError: If `num_queries` is not a positive integer or the width D
            is unknown.

    Example:

    >>> memory = keras.ops.ones((2, 15, 8))
    >>> print(tuple(keras_vtr.layers.ObjectQueries(10)(memory).shape))
    (2, 10, 8)
    """

    def __init__(self, num_queries, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("num_queries", num_queries)
        self.num_queries = num_queries

    def build(self, memory_shape):
        check_rank("memory", memory_shape, ("B", "N", "D"))
        check_static("memory", memory_shape, -1, "width D")
        self.queries = self.add_weight(
            shape=(1, self.num_queries, memory_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="queries",
        )

    def call(self, memory):
        batch_size, _, hidden_dim = keras.ops.shape(memory)
        return keras.ops.broadcast_to(
            keras.ops.cast(self.queries, memory.dtype),
            (batch_size, self.num_queries, hidden_dim),
        )

    def compute_output_shape(self, memory_shape):
        return (memory_shape[0], self.num_queries, memory_shape[-1])

    def get_config(self):
        return {**super().get_config(), "num_queries": self.num_queries}
