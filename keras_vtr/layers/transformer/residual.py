import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.parts import build_part
from keras_vtr.layers.parts import copy_of
from keras_vtr.layers.parts import default_norm
from keras_vtr.layers.parts import deserialized
from keras_vtr.layers.parts import serialized
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.regularization import LayerScale
from keras_vtr.layers.transformer.regularization import StochasticDepth


@keras.saving.register_keras_serializable(package="keras_vtr")
class Residual(keras.layers.Layer):
    """Surrounds a layer with a norm and a residual: "add & norm".

    Vaswani et al. 2017, figure 1, around attention and feed-forward alike. To
    a reader who knows ResNets: the residual is their skip connection.

    Post-norm, the original: `norm(x + f(x))`. Pre-norm, as ViT has it:
    `x + f(norm(x))`. The result of `f` passes dropout, layer scale and
    stochastic depth before it is added.

    Args:
        layer: f, from tokens (B, N, D) to tokens (B, N, D), such as
            `MultiHeadAttention` or `FeedForward`.
        norm: Default: a layer norm with epsilon 1e-6. Another one, such as
            `keras.layers.RMSNormalization()`, or `keras.layers.Identity()`.
        normalize_first: True for pre-norm, False for post-norm.
        dropout: Fraction of the branch dropped in training.
        layer_scale: Optional start of a `LayerScale` on the branch.
        stochastic_depth: Probability that training drops the branch.

    Call arguments:
        tokens: (B, N, D).
        memory: Optional (B, S, ...), a second input of the layer, which isn't
            normalized here: the encoder that made it has done that.
        use_causal_mask: If True, the layer is called with it: an attention.
        return_attention_scores: Likewise.
        kwargs: Other tensors for the layer, by its arguments' names.

    Returns:
        (B, N, D). If the layer returns several outputs, the first one is the
        branch, and all are returned.

    Raises:
        ValueError: If `layer` or `norm` is no layer or has weights, or a
            number is out of its range.

    Example:

    >>> layer = keras_vtr.layers.Residual(keras_vtr.layers.FeedForward(32))
    >>> print(tuple(layer(keras.ops.ones((2, 5, 8))).shape))
    (2, 5, 8)
    """

    def __init__(
        self,
        layer,
        *,
        norm=None,
        normalize_first=True,
        dropout=0.0,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_fraction("dropout", dropout)
        if layer_scale is not None:
            check_positive("layer_scale", layer_scale)
        check_fraction("stochastic_depth", stochastic_depth)
        set_part(self, "layer", layer)
        set_part(self, "norm", default_norm() if norm is None else norm)
        self.normalize_first = normalize_first
        self.dropout = dropout
        self.layer_scale = layer_scale
        self.stochastic_depth = stochastic_depth

    def build(self, tokens_shape, memory_shape=None):
        self.branch = copy_of(self.layer, "layer", self)
        shapes = (tokens_shape, memory_shape)
        build_part(self.branch, *(x for x in shapes if x is not None))
        self.branch_norm = copy_of(self.norm, "norm", self)
        build_part(self.branch_norm, tokens_shape)
        self.branch_dropout = keras.layers.Dropout(
            self.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.branch_scale = None
        if self.layer_scale is not None:
            self.branch_scale = LayerScale(
                self.layer_scale, name="layer_scale", dtype=self.dtype_policy
            )
            self.branch_scale.build(tokens_shape)
        self.branch_depth = StochasticDepth(
            self.stochastic_depth,
            name="stochastic_depth",
            dtype=self.dtype_policy,
        )

    # Keras 3.15 refuses flags beside tensors within one `**` argument.
    def call(
        self,
        tokens,
        memory=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
        **kwargs,
    ):
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
        """What the layer is given."""
        return self.branch_norm(tokens) if self.normalize_first else tokens

    def add(self, tokens, branch, training=None):
        """What is returned when the layer has answered with `branch`."""
        branch = self.branch_dropout(branch, training=training)
        if self.branch_scale is not None:
            branch = self.branch_scale(branch)
        branch = self.branch_depth(branch, training=training)
        output = tokens + branch
        return output if self.normalize_first else self.branch_norm(output)

    def get_config(self):
        return {
            **super().get_config(),
            **serialized(self, "layer", "norm"),
            "normalize_first": self.normalize_first,
            "dropout": self.dropout,
            "layer_scale": self.layer_scale,
            "stochastic_depth": self.stochastic_depth,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config, "layer", "norm"))
