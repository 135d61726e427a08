import math

import keras

from keras_vtr.layers import RealTokens
from keras_vtr.layers import SinePositionEncoding1D
from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.transformer.sequence_model import SequenceModel
from keras_vtr.stages import Transformer

# Vaswani et al. 2017, table 3. Parameters with the paper's vocabulary of
# 37,000 tokens: 63,082,496 and 214,245,376 (the paper rounds to 65 and 213
# million).
SIZES = {  # hidden_dim, num_layers, num_heads, mlp_dim, dropout
    "base": (512, 6, 8, 2048, 0.1),
    "big": (1024, 6, 16, 4096, 0.3),
}


def build_transformer(
    vocabulary_size,
    *,
    size="base",
    hidden_dim=None,
    num_layers=None,
    num_heads=None,
    mlp_dim=None,
    dropout=None,
    encoder=None,
    name="transformer",
    **block_options,
):
    """Builds the original Transformer: a sequence in, the next tokens out.

    Vaswani et al. 2017, "Attention Is All You Need", figure 1. The encoder
    reads the source at once; the decoder predicts the target token by token,
    each from those before it (`use_causal_mask`) and from the source. Training
    gives it the complete target, shifted by one, and predicts all tokens at
    once. The layers are those of DETR; the differences are the causal mask,
    and positions that are added once, to the embeddings.

    One matrix embeds source and target and projects answers to logits (section
    3.4). `keras_vtr.stages` names the stages. `build_generator` generates text
    with it.

    Args:
        vocabulary_size: V, number of tokens; token 0 is padding.
        size: "base" or "big", which give what follows its default.
        hidden_dim: Width D of the tokens, even.
        num_layers: How many blocks the encoder has, and the decoder.
        num_heads: H.
        mlp_dim: Width of the feed-forward blocks' inner layer.
        dropout: Fraction dropped in training, of the embeddings and after each
            sub-layer.
        encoder: Optional Keras model from one input, such as images, to the
            memory (B, N, ...). Default: the paper's encoder of tokens.
        name: Name of the model.
        **block_options: Of encoder and decoder: `normalize_first=True` for
            pre-norm (Xiong et al. 2020) instead of the paper's post-norm;
            `attention_dropout`, `activation`, `norm` or `layer_norm_epsilon`,
            `normalize_query_key`, `layer_scale`, `stochastic_depth`, as in
            `TransformerDecoderBlock` and its parts.

    Returns:
        A `keras_vtr.models.SequenceModel` from a dict of `"source"` (B, S) and
        `"target"` (B, T) int32, 0 for padding at the end, to logits (B, T, V)
        of the token after each one of the target. With an `encoder` of your
        own, `"source"` is what that takes.

    Raises:
        ValueError: If an argument is out of its range, or `encoder` doesn't
            make one memory of one input.

    Example:

    >>> transformer = keras_vtr.models.build_transformer(
    ...     20, hidden_dim=8, num_layers=1, num_heads=2, mlp_dim=16
    ... )
    >>> source, target = np.array([[3, 4, 0]]), np.array([[1, 7]])
    >>> print(transformer({"source": source, "target": target}).shape)
    (1, 2, 20)
    """
    _check_arguments(vocabulary_size, block_options)
    given = (hidden_dim, num_layers, num_heads, mlp_dim, dropout)
    hidden_dim, num_layers, *heads_and_mlp, dropout = _settings(size, given)
    options = {"dropout": dropout, "activation": "relu"}
    options |= {"normalize_first": False, **block_options}
    options = block_arguments(*heads_and_mlp, **options)
    embed, embedding = _embedding(vocabulary_size, hidden_dim, dropout)
    is_real = None
    if encoder is None:
        source = keras.Input((None,), dtype="int32", name=Transformer.SOURCE)
        is_real = RealTokens(name=Transformer.REAL_TOKENS)(source)  # (B, S)
        block = TransformerEncoderBlock(**options)
        memory = TransformerEncoder(
            block, num_layers, name=Transformer.ENCODER
        )(embed(source), padding_mask=is_real)
    else:
        _check_encoder(encoder)
        source = keras.Input(
            encoder.input.shape[1:],
            dtype=encoder.input.dtype,
            name=Transformer.SOURCE,
        )
        memory = encoder(source)
    memory = keras.layers.Identity(name=Transformer.MEMORY)(memory)  # (B, S, D)
    target = keras.Input((None,), dtype="int32", name=Transformer.TARGET)
    # Target padding comes last: the causal mask hides it.
    block = TransformerDecoderBlock(**options)
    answers = TransformerDecoder(block, num_layers, name=Transformer.DECODER)(
        embed(target), memory, padding_mask=is_real, use_causal_mask=True
    )
    logits = embedding(answers, reverse=True)  # (B, T, V)
    inputs = {"source": source, "target": target}
    return SequenceModel(inputs, logits, name=name)


def _check_arguments(vocabulary_size, block_options):
    if vocabulary_size < 2:
        raise ValueError(
            "`vocabulary_size` must be 2 or more, padding counted. Received: "
            f"vocabulary_size={vocabulary_size}"
        )
    if block_options.get("position_rule") is not None:
        raise ValueError(
            "`position_rule` has no effect here: positions are added once, to "
            "the embeddings. Leave it out."
        )


def _check_encoder(encoder):
    if not isinstance(encoder, keras.Model):
        raise ValueError(
            "`encoder` must be a Keras model, or None for the paper's. "
            f"Received: encoder={encoder!r}"
        )
    shapes = [tuple(x.shape) for x in encoder.outputs]
    if len(encoder.inputs) != 1 or [len(shape) for shape in shapes] != [3]:
        raise ValueError(
            "`encoder` must have one input, and one output of the shape "
            f"(B, N, D), the memory. Received: {len(encoder.inputs)} inputs "
            f"and outputs of the shapes {shapes}"
        )


def _embedding(vocabulary_size, hidden_dim, dropout):
    """A function from tokens to the stacks' input, and its embedding."""
    embedding = keras.layers.ReversibleEmbedding(
        vocabulary_size,
        hidden_dim,
        embeddings_initializer=keras.initializers.RandomNormal(
            stddev=hidden_dim**-0.5
        ),
        reverse_dtype="float32",
        name=Transformer.EMBEDDING,
    )
    scale = keras.layers.Rescaling(
        math.sqrt(hidden_dim), name=Transformer.SCALE
    )
    positions = SinePositionEncoding1D(name=Transformer.POSITIONS)
    drop = keras.layers.Dropout(dropout, name="dropout")

    def embed(tokens):
        x = scale(embedding(tokens))  # (B, N, D)
        return drop(x + positions(x))

    return embed, embedding


def _settings(size, given):
    """Width, depth, heads, inner width and dropout."""
    if size not in SIZES:
        raise ValueError(
            f"`size` must be one of {sorted(SIZES)}. Received: size={size!r}"
        )
    return [
        default if value is None else value
        for value, default in zip(given, SIZES[size], strict=True)
    ]
