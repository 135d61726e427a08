import keras

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class ObjectQueries(keras.layers.Layer):
    """Gives the decoder one learned query for each object slot.

    Carion et al. 2020 (DETR), section 3.2: a query is a learned position. It
    is added to the decoder's tokens in every attention and ends as one box or
    as "no object"; each learns to look for objects of its own region and size
    (section 4.3, figure 7). All of them are decoded at once, in parallel.
    Normal with standard deviation 1 at the start, as the authors' code has it.

    Args:
        num_queries: Q, the most objects that one image can yield.

    Call arguments:
        memory: (B, N, D), the encoder's output. Only its shape is read.

    Returns:
        (B, Q, D), the same queries for every image: the decoder's
        `query_positions`.

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
