import keras
from keras import ops
from keras.layers import Dropout

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.regularization import LayerScale
from keras_vtr.layers.transformer.regularization import StochasticDepth


class ResidualOptions(LayerWithParts):
    """The arguments that `Residual` shares with blocks of residuals."""

    PARTS = ("norm",)

    def __init__(
        self,
        *,
        norm=None,
        normalize_first=True,
        dropout=0.0,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        # What the layer takes besides tokens, such as boxes, may need float32.
        super().__init__(autocast=False, **kwargs)
        check_fraction("dropout", dropout)
        if layer_scale is not None:
            check_positive("layer_scale", layer_scale)
        check_fraction("stochastic_depth", stochastic_depth)
        set_part(self, "norm", default_norm() if norm is None else norm)
        self.normalize_first = normalize_first
        self.dropout = dropout
        self.layer_scale = layer_scale
        self.stochastic_depth = stochastic_depth

    def get_config(self):
        return {**super().get_config(), **self._options()}

    def _options(self):
        return {
            "normalize_first": self.normalize_first,
            "dropout": self.dropout,
            "layer_scale": self.layer_scale,
            "stochastic_depth": self.stochastic_depth,
        }


@keras.saving.register_keras_serializable(package="keras_vtr")
class Residual(ResidualOptions):
    """Adds a layer's output to its input, and normalizes: "add & norm".

    Vaswani et al. 2017, figure 1, around both attention and feed-forward. To
    a reader who knows ResNets: the residual is their skip connection.

    Post-norm, the original, is `norm(x + f(x))`. Pre-norm, as in ViT, is
    `x + f(norm(x))`. The output of `f`, the branch, passes dropout, layer
    scale and stochastic depth before it is added.

    Args:
        layer: f, from tokens (B, N, D) to tokens (B, N, D), such as
            `MultiHeadAttention` or `FeedForward`.
        norm: Any norm, such as `keras.layers.RMSNormalization()`, or
            `keras.layers.Identity()` for none. Default: a layer norm with
            epsilon 1e-6.
        normalize_first: True for pre-norm, False for post-norm.
        dropout: Fraction of the branch dropped in training.
        layer_scale: Optional initial value of a `LayerScale` on the branch.
        stochastic_depth: Probability that training drops the branch.

    Call arguments:
        tokens: (B, N, D).
        memory: Optional (B, S, ...), a second input of the layer. It is not
            normalized here, because the encoder has normalized it.
        use_causal_mask: If True, it is passed to the layer, an attention.
        return_attention_scores: If True, it is passed likewise.
        kwargs: Other tensors for the layer, by the names of its arguments.

    Returns:
        (B, N, D). If the layer has several outputs, the first one is the
        branch, and the others are returned unchanged.

    Raises:
        ValueError: If `layer` or `norm` is not a layer or has weights, or a
            number is out of its range.

    Example:

    >>> layer = keras_vtr.layers.Residual(keras_vtr.layers.FeedForward(32))
    >>> print(tuple(layer(keras.ops.ones((2, 5, 8))).shape))
    (2, 5, 8)
    """

    PARTS = ("layer", "norm")

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        set_part(self, "layer", layer)

    def build(self, tokens_shape, memory_shape=None):
        shapes = [tokens_shape]
        if memory_shape is not None:
            shapes.append(memory_shape)
        self.branch = build_sublayer(self, "layer", self.layer, *shapes)
        self.branch_norm = build_sublayer(self, "norm", self.norm, tokens_shape)
        self.branch_dropout = build_sublayer(
            self, "dropout", Dropout, tokens_shape, rate=self.dropout
        )
        self.branch_scale = None
        if self.layer_scale is not None:
            self.branch_scale = build_sublayer(
                self,
                "layer_scale",
                LayerScale,
                tokens_shape,
                initial_value=self.layer_scale,
            )
        self.branch_depth = build_sublayer(
            self,
            "stochastic_depth",
            StochasticDepth,
            tokens_shape,
            rate=self.stochastic_depth,
        )

    # The flags are arguments of their own, because Keras 3.15 refuses flags
    # beside tensors within one `**` argument.
    def call(
        self,
        tokens,
        memory=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
        **kwargs,
    ):
        tokens = ops.cast(tokens, self.compute_dtype)
        inputs = [self.before(tokens)]
        if memory is not None:
            inputs.append(memory)
        if use_causal_mask:
            kwargs["use_causal_mask"] = True
        if return_attention_scores:
            kwargs["return_attention_scores"] = True
        outputs = self.branch(*inputs, **kwargs)
        if isinstance(outputs, (tuple, list)):
            return (self.add(tokens, outputs[0], training), *outputs[1:])
        return self.add(tokens, outputs, training)

    def before(self, tokens):
        """The input of the layer."""
        return self.branch_norm(tokens) if self.normalize_first else tokens

    def add(self, tokens, branch, training=None):
        """The output for `branch`, the layer's output."""
        branch = self.branch_dropout(branch, training=training)
        if self.branch_scale is not None:
            branch = self.branch_scale(branch)
        output = tokens + self.branch_depth(branch, training=training)
        return output if self.normalize_first else self.branch_norm(output)
