import keras
from keras import ops

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.detection.mask_prediction import MaskPrediction
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.transformer.encoder import TransformerEncoder

ANNEALING_POWER = 0.9
HIDDEN = -1e9  # added to the logits of an attention


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskQueryEncoder(TransformerEncoder):
    """A ViT's encoder whose last blocks see learned queries, too.

    Kerssies et al. 2025 (EoMT, "Your ViT is Secretly an Image Segmentation
    Model"), section 3: queries join the tokens before the last blocks, and a
    `MaskPrediction` reads their masks from what comes out. Each of these blocks
    has a prediction before it, too, and in training a query sees the patches
    of its own mask only (masked attention, Cheng et al. 2022, Mask2Former).
    This is annealed away, one block after the other: without
    training there are no masks within, and the encoder is that of a ViT.

    Args:
        block: As in `TransformerEncoder`.
        num_layers: Likewise.
        norm: Likewise; a prediction reads normalized tokens.
        num_queries: Q.
        num_query_blocks: How many blocks, the last ones, see the queries.
        num_leading_tokens: Class tokens and registers before the patches.
        upsampling: How many times finer than the patches the masks are.
        mask_steps: Number of training steps, over which the authors anneal the
            masks: the share of masked queries falls from 1 to 0, as
            (1 - progress)^0.9, in a sixth of the steps, which begins after one
            to four sixths of them, later in later blocks. Default: no masked
            attention.

    Call arguments:
        tokens: (B, leading + rows * columns, D).
        feature_map: (B, rows, columns, D). Only its shape is read.

    Returns:
        The queries' answers (B, Q, D) and the logits of their masks (B, Q,
        height', width'), and those before each of the L query blocks,
        (B, L, Q, ...).

    Raises:
        ValueError: If a number is out of its range.

    Example:

    >>> block = keras_vtr.layers.TransformerEncoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> encoder = keras_vtr.layers.MaskQueryEncoder(
    ...     block, 4, num_queries=7, num_query_blocks=2
    ... )
    >>> feature_map = keras.ops.ones((1, 3, 5, 8))
    >>> outputs = encoder(keras.ops.ones((1, 15, 8)), feature_map)
    >>> print([tuple(x.shape) for x in outputs])
    [(1, 7, 8), (1, 7, 12, 20), (1, 2, 7, 8), (1, 2, 7, 12, 20)]
    """

    def __init__(
        self,
        block,
        num_layers,
        *,
        norm=None,
        num_queries=200,
        num_query_blocks=4,
        num_leading_tokens=0,
        upsampling=4,
        mask_steps=None,
        **kwargs,
    ):
        super().__init__(block, num_layers, norm=norm, **kwargs)
        check_positive_int("num_queries", num_queries)
        check_positive_int("num_query_blocks", num_query_blocks)
        check_count("num_leading_tokens", num_leading_tokens)
        if mask_steps is not None:
            check_positive_int("mask_steps", mask_steps)
        if num_query_blocks > num_layers:
            raise ValueError(
                "`num_query_blocks` must be at most `num_layers`. Received: "
                f"num_query_blocks={num_query_blocks}, num_layers={num_layers}"
            )
        self.num_queries = num_queries
        self.num_query_blocks = num_query_blocks
        self.num_leading_tokens = num_leading_tokens
        self.upsampling = upsampling
        self.mask_steps = mask_steps

    def build(self, tokens_shape):
        self._build_stack(tokens_shape)
        hidden_dim = tokens_shape[-1]
        self.queries = self.add_weight(
            shape=(1, self.num_queries, hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="queries",
        )
        self.prediction = build_sublayer(
            self,
            "prediction",
            MaskPrediction,
            (None, self.num_queries, hidden_dim),
            (None, None, None, hidden_dim),
            upsampling=self.upsampling,
        )
        self.step = None
        if self.mask_steps is not None:
            self.seed_generator = keras.random.SeedGenerator()
            self.step = self.add_weight(
                shape=(),
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
                name="step",
            )

    def call(self, tokens, feature_map, training=None):
        grid = tuple(ops.shape(feature_map)[1:3])
        shares = self._shares_of_masked_queries(training)
        first = self.num_layers - self.num_query_blocks
        for block in self.blocks[:first]:
            tokens, _ = self._call_block(block, tokens)
        queries = ops.cast(self.queries, tokens.dtype)
        shape = (ops.shape(tokens)[0], *queries.shape[1:])
        queries = ops.broadcast_to(queries, shape)
        tokens = ops.concatenate([tokens, queries], axis=1)
        predictions = []
        for share, block in zip(shares, self.blocks[first:], strict=True):
            predictions.append(self._predict(tokens, grid))
            options = {}
            if share is not None:
                masks = predictions[-1][1]
                options["attention_bias"] = self._bias(masks, grid, share)
            tokens, _ = self._call_block(block, tokens, **options)
        earlier = (ops.stack(x, axis=1) for x in zip(*predictions, strict=True))
        return *self._predict(tokens, grid), *earlier

    def _predict(self, tokens, grid):
        tokens = self._normalize(tokens)
        patches = tokens[:, self.num_leading_tokens : -self.num_queries]
        shape = (-1, *grid, tokens.shape[-1])
        queries = tokens[:, -self.num_queries :]
        return queries, self.prediction(queries, ops.reshape(patches, shape))

    def _shares_of_masked_queries(self, training):
        """For each query block a scalar, or None without masked attention."""
        num_blocks = self.num_query_blocks
        if not training or self.step is None:
            return [None] * num_blocks
        starts = [
            1 / 6 + i / 2 / max(1, num_blocks - 1) for i in range(num_blocks)
        ]
        progress = [
            ops.clip(6 * (self.step / self.mask_steps - start), 0.0, 1.0)
            for start in starts
        ]
        self.step.assign_add(1.0)
        return [(1.0 - x) ** ANNEALING_POWER for x in progress]

    def _bias(self, masks, grid, share):
        """(B, 1, T, T): a masked query sees the patches of its mask only."""
        masks = ops.transpose(ops.stop_gradient(masks), (0, 2, 3, 1))
        masks = ops.image.resize(
            ops.cast(masks, "float32"),
            grid,
            interpolation="bilinear",
            data_format="channels_last",
        )
        masks = ops.transpose(masks, (0, 3, 1, 2))  # (B, Q, rows, columns)
        batch_size, num_queries = ops.shape(masks)[:2]
        masks = ops.reshape(masks, (batch_size, num_queries, -1))
        is_masked = share > keras.random.uniform(
            (batch_size, num_queries, 1), seed=self.seed_generator
        )
        is_hidden = ops.logical_and(is_masked, masks <= 0)
        bias = ops.where(is_hidden, HIDDEN, 0.0)
        leading, num_patches = self.num_leading_tokens, ops.shape(masks)[2]
        before = (leading + num_patches, 0)
        return ops.pad(bias, ((0, 0), before, (leading, num_queries)))[:, None]

    def compute_output_shape(self, tokens_shape, feature_map_shape):
        batch_size, *size = feature_map_shape[:3]
        size = [x and self.upsampling * x for x in size]
        answers = (self.num_queries, tokens_shape[-1])
        masks = (self.num_queries, *size)
        layers = (batch_size, self.num_query_blocks)
        return (
            (batch_size, *answers),
            (batch_size, *masks),
            (*layers, *answers),
            (*layers, *masks),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_queries": self.num_queries,
            "num_query_blocks": self.num_query_blocks,
            "num_leading_tokens": self.num_leading_tokens,
            "upsampling": self.upsampling,
            "mask_steps": self.mask_steps,
        }
