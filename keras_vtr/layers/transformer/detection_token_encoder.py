import keras
from keras import ops

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_grid_shape
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.positions.embedding import INITIAL_STD
from keras_vtr.layers.positions.embedding import PositionEmbedding
from keras_vtr.layers.transformer.encoder import TransformerEncoder


@keras.saving.register_keras_serializable(package="keras_vtr")
class DetectionTokenEncoder(TransformerEncoder):
    """A ViT's encoder that answers learned queries: YOLOS's detection tokens.

    Fang et al. 2021 (YOLOS, "You Only Look at One Sequence"), section 3.1: the
    queries join the tokens of the patches, all blocks relate all of them, and
    what comes out of the queries is read by heads. The authors' larger models
    add positions to the tokens after each block but the last, too.

    Differences from the authors' code: a query and its position before the
    first block are one vector, their sum, and queries stand before the patches,
    which changes nothing.

    Args:
        block: As in `TransformerEncoder`.
        num_layers: Likewise.
        norm: Likewise.
        num_queries: Q.
        num_leading_tokens: Class tokens and registers before the patches.
        position_grid: (rows, columns) of patches that the tables of positions
            between the blocks are made for, as in `PositionEmbedding`.
            Default: there are none.
        interpolation: As in `PositionEmbedding`.

    Call arguments:
        tokens: (B, num_leading_tokens + rows * columns, D).
        feature_map: (B, rows, columns, D). Only its shape is read.
        padding_mask: Optional (B, rows, columns) bool, True = real.

    Returns:
        (B, Q, D), the queries' answers.

    Raises:
        ValueError: If an argument is out of its range, or a shape doesn't fit.

    Example:

    >>> block = keras_vtr.layers.TransformerEncoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> encoder = keras_vtr.layers.DetectionTokenEncoder(
    ...     block, num_layers=3, num_queries=7
    ... )
    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> print(tuple(encoder(keras.ops.ones((2, 15, 8)), feature_map).shape))
    (2, 7, 8)
    """

    def __init__(
        self,
        block,
        num_layers,
        *,
        norm=None,
        num_queries=100,
        num_leading_tokens=0,
        position_grid=None,
        interpolation="bicubic",
        **kwargs,
    ):
        super().__init__(block, num_layers, norm=norm, **kwargs)
        check_positive_int("num_queries", num_queries)
        check_count("num_leading_tokens", num_leading_tokens)
        check_grid_shape(position_grid)
        self.num_queries = num_queries
        self.num_leading_tokens = num_leading_tokens
        self.position_grid = position_grid
        self.interpolation = interpolation

    def build(self, tokens_shape):
        self._build_stack(tokens_shape)
        batch_size, _, hidden_dim = tokens_shape
        self.queries = self.add_weight(
            shape=(1, self.num_queries, hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=INITIAL_STD),
            name="queries",
        )
        num_tables = self.num_layers - 1 if self.position_grid else 0
        self.positions = [
            build_sublayer(
                self,
                f"positions_{i}",
                PositionEmbedding,
                (batch_size, None, hidden_dim),
                grid_shape=self.position_grid,
                num_leading_tokens=self.num_leading_tokens + self.num_queries,
                interpolation=self.interpolation,
            )
            for i in range(num_tables)
        ]

    def call(self, tokens, feature_map, padding_mask=None, training=None):
        first = self.num_leading_tokens
        queries = ops.cast(self.queries, tokens.dtype)
        shape = (ops.shape(tokens)[0], *queries.shape[1:])
        queries = ops.broadcast_to(queries, shape)
        tokens = ops.concatenate(
            [tokens[:, :first], queries, tokens[:, first:]], axis=1
        )
        options, of_map = {}, {"feature_map": feature_map}
        if padding_mask is not None:
            of_map["padding_mask"] = padding_mask
            options["padding_mask"] = self._mask_of_tokens(padding_mask)
        for i, block in enumerate(self.blocks):
            tokens, _ = self._call_block(block, tokens, **options)
            if i < len(self.positions):
                tokens = self.positions[i](tokens, **of_map)
        return self._normalize(tokens[:, first : first + self.num_queries])

    def _mask_of_tokens(self, padding_mask):
        """(B, N): leading tokens and queries are real."""
        batch_size, rows, columns = ops.shape(padding_mask)
        before = self.num_leading_tokens + self.num_queries
        return ops.concatenate(
            [
                ops.ones((batch_size, before), "bool"),
                ops.reshape(padding_mask, (batch_size, rows * columns)),
            ],
            axis=1,
        )

    def compute_output_shape(self, tokens_shape, *other_shapes, **shapes):
        return (tokens_shape[0], self.num_queries, tokens_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "num_queries": self.num_queries,
            "num_leading_tokens": self.num_leading_tokens,
            "position_grid": self.position_grid,
            "interpolation": self.interpolation,
        }
