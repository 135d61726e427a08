import keras

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.windows import Windows

NUM_QUARTERS = 4


@keras.saving.register_keras_serializable(package="keras_vtr")
class FeatureMapEncoder(Stack):
    """Updates the tokens of patches by blocks, and returns a feature map.

    Li et al. 2022 (ViTDet), section 3, "Backbone adaptation": a plain ViT reads
    large images if most of its blocks attend within windows, and a few, the
    global blocks, to the complete image. The weights are those of a
    `TransformerEncoder` with the same blocks, under the same paths.

    Differences from the paper: class tokens and registers remain, a copy in
    each window, and a global block sees all copies, as in Robinson et al. 2025
    (RF-DETR), which also concatenates the features of several blocks. Where
    windows don't divide the grid, they are padded, and padding is no key.

    Args:
        block: As in `TransformerEncoder`.
        num_layers: L, the number of blocks. Those after the last one of
            `feature_blocks` are not made.
        norm: As in `TransformerEncoder`. The features of each block pass it.
        feature_blocks: Numbers of the blocks, from 0 to L - 1, after which
            features are taken, in ascending order. Default: the last block.
        window_size: (height, width) of a window in patches, or one number for
            both. Default: no windows.
        num_windows: Instead of a size, how many windows there are in each
            column and in each row, or one number for both, so that the size
            grows with the image; the size is rounded up.
        global_blocks: Numbers of the blocks that see all windows, in ascending
            order. Default: the paper's, the last of each quarter of the blocks.
        num_leading_tokens: Number of class tokens and registers, which come
            first and are cut off behind the blocks.

    Call arguments:
        tokens: (B, num_leading_tokens + rows * columns, D), patches in raster
            order.
        feature_map: (B, rows, columns, ...), what the tokens were made of. Only
            its shape is read.
        positions: Optional (B, rows * columns, X), for queries and keys of
            each block, as `position_rule` takes them.
        padding_mask: Optional (B, rows, columns) bool, True = real.
        attention_bias: Optional (1, H, N, N), added to the logits of each
            attention; not with windows.

    Returns:
        (B, rows, columns, D * number of `feature_blocks`).

    Raises:
        ValueError: If an argument is out of its range, or a shape doesn't fit.

    Example:

    >>> block = keras_vtr.layers.TransformerEncoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> encoder = keras_vtr.layers.FeatureMapEncoder(
    ...     block, num_layers=4, feature_blocks=(1, 3), window_size=2
    ... )
    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> tokens = keras.ops.reshape(feature_map, (2, 15, 8))
    >>> print(tuple(encoder(tokens, feature_map).shape))
    (2, 3, 5, 16)
    """

    def __init__(
        self,
        block,
        num_layers,
        *,
        norm=None,
        feature_blocks=None,
        window_size=None,
        num_windows=None,
        global_blocks=None,
        num_leading_tokens=0,
        **kwargs,
    ):
        super().__init__(block, num_layers, norm=norm, **kwargs)
        check_count("num_leading_tokens", num_leading_tokens)
        if feature_blocks is not None:
            _check_blocks("feature_blocks", feature_blocks, num_layers)
            if not feature_blocks:
                raise ValueError(
                    "`feature_blocks` must name a block, or be None for the "
                    f"last one. Received: feature_blocks={feature_blocks!r}"
                )
        if window_size is not None and num_windows is not None:
            raise ValueError(
                "`window_size` and `num_windows` must not both be given. "
                f"Received: window_size={window_size!r}, num_windows="
                f"{num_windows!r}"
            )
        if global_blocks is not None:
            _check_blocks("global_blocks", global_blocks, num_layers)
            if window_size is None and num_windows is None:
                raise ValueError(
                    "`global_blocks` needs a `window_size` or `num_windows`; "
                    "without windows all blocks are global. Received: "
                    f"global_blocks={global_blocks!r}"
                )
        _pair("window_size", window_size)
        _pair("num_windows", num_windows)
        self.feature_blocks = feature_blocks
        self.window_size = window_size
        self.num_windows = num_windows
        self.global_blocks = global_blocks
        self.num_leading_tokens = num_leading_tokens

    def build(self, tokens_shape):
        self.taken = self.feature_blocks or (self.num_layers - 1,)
        self.seen_globally = self.global_blocks
        if self.seen_globally is None:
            self.seen_globally = _last_of_quarters(self.num_layers)
        if not self._has_windows:  # one window sees everything
            self.seen_globally = ()
        self._build_stack(tokens_shape, num_blocks=self.taken[-1] + 1)

    def call(
        self,
        tokens,
        feature_map,
        positions=None,
        padding_mask=None,
        attention_bias=None,
        training=None,
    ):
        self._check_inputs(tokens, feature_map, positions, attention_bias)
        grid = tuple(keras.ops.shape(feature_map)[1:3])
        size = _pair("window_size", self.window_size)
        if self.num_windows is not None:
            counts = _pair("num_windows", self.num_windows)
            size = [
                -(-side // count)  # rounded up
                for side, count in zip(grid, counts, strict=True)
            ]
        windows = Windows(grid, size, self.num_leading_tokens)
        if padding_mask is None and windows.may_be_padded:
            shape = keras.ops.shape(feature_map)[:3]
            padding_mask = keras.ops.ones(shape, "bool")
        within, merged = windows.arguments(positions, padding_mask)
        if attention_bias is not None:
            within["attention_bias"] = attention_bias
        tokens = windows.cut_tokens(tokens)  # (B * W, leading + P, D)
        features = []
        for i, block in enumerate(self.blocks):
            if i in self.seen_globally:
                tokens = windows.merge(tokens)  # (B, W * (leading + P), D)
                tokens, _ = self._call_block(block, tokens, **merged)
                tokens = windows.split(tokens)
            else:
                tokens, _ = self._call_block(block, tokens, **within)
            if i in self.taken:
                patches = self._normalize(tokens)[:, self.num_leading_tokens :]
                features.append(windows.join(patches))
        return keras.ops.concatenate(features, axis=-1)

    def compute_output_shape(self, tokens_shape, feature_map_shape, **shapes):
        num_features = len(self.feature_blocks or (1,))
        return (*feature_map_shape[:3], tokens_shape[-1] * num_features)

    def get_config(self):
        return {
            **super().get_config(),
            "feature_blocks": self.feature_blocks,
            "window_size": self.window_size,
            "num_windows": self.num_windows,
            "global_blocks": self.global_blocks,
            "num_leading_tokens": self.num_leading_tokens,
        }

    @property
    def _has_windows(self):
        return self.window_size is not None or self.num_windows is not None

    def _check_inputs(self, tokens, feature_map, positions, attention_bias):
        letters = ("B", "rows", "columns", "...")
        check_rank("feature_map", feature_map.shape, letters)
        rows, columns = feature_map.shape[1:3]
        num_leading = self.num_leading_tokens
        for name, x, leading in (
            ("tokens", tokens, num_leading),
            ("positions", positions, 0),
        ):
            if x is None:
                continue
            sides = (x.shape[1], rows, columns)
            # An unknown side is None, or JAX's symbol.
            is_known = all(isinstance(side, int) for side in sides)
            if is_known and x.shape[1] != leading + rows * columns:
                raise ValueError(
                    f"`{name}` must have the length {leading} + rows * columns "
                    f"of `feature_map`. Received: {name}.shape="
                    f"{tuple(x.shape)}, a map of {rows} x {columns}, "
                    f"num_leading_tokens={num_leading}"
                )
        if attention_bias is not None and self._has_windows:
            raise ValueError(
                "`attention_bias` is for pairs of tokens of the complete "
                "image, and must be None with windows. Received: "
                f"window_size={self.window_size!r}, num_windows="
                f"{self.num_windows!r}, attention_bias.shape="
                f"{tuple(attention_bias.shape)}"
            )


def _last_of_quarters(num_layers):
    ends = [(i + 1) * num_layers // NUM_QUARTERS for i in range(NUM_QUARTERS)]
    return tuple(sorted({end - 1 for end in ends if end}))


def _pair(name, value):
    """Numbers along height and width, or None."""
    if value is None:
        return None
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(
            f"`{name}` must be a number, or a pair of them, along height and "
            f"width. Received: {name}={value!r}"
        )
    for number in pair:
        check_positive_int(name, number)
    return tuple(pair)


def _check_blocks(name, blocks, num_layers):
    fits = isinstance(blocks, (tuple, list)) and all(
        isinstance(i, int) and 0 <= i < num_layers for i in blocks
    )
    if not fits or list(blocks) != sorted(set(blocks)):
        raise ValueError(
            f"`{name}` must be numbers of blocks, from 0 to "
            f"{num_layers - 1}, in ascending order. Received: {name}="
            f"{blocks!r}"
        )
