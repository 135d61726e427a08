import keras

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class ClassToken(keras.layers.Layer):
    """Inserts learned tokens before the tokens of every image.

    Dosovitskiy et al. 2020 (ViT), section 3.1, equation 1: the class token
    gathers information from the patches by attention, and the classifier reads
    only this token. It is initialized with zeros, as in the authors' code.

    The same layer adds registers, learned tokens that no head reads: Darcet et
    al. 2023 ("Vision Transformers Need Registers"), section 2.2. They come
    after the class token, `index=1`. Equal registers get equal gradients, so
    several of them need an `initializer` that makes them differ.

    Args:
        num_tokens: Number of tokens to insert.
        index: Number of present tokens that stay before them.
        initializer: Of the tokens, as Keras names initializers.

    Call arguments:
        tokens: (B, N, D).

    Returns:
        (B, num_tokens + N, D), the learned tokens from `index` on.

    Raises:
        ValueError: If an argument is out of its range or the input
            isn't a batch of tokens of known width.

    Example:

    >>> tokens = keras.ops.ones((2, 6, 8))
    >>> print(tuple(keras_vtr.layers.ClassToken()(tokens).shape))
    (2, 7, 8)
    """

    def __init__(self, num_tokens=1, index=0, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        check_positive_int("num_tokens", num_tokens)
        check_count("index", index)
        self.num_tokens = num_tokens
        self.index = index
        self.initializer = keras.initializers.get(initializer)

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        check_static("tokens", tokens_shape, -1, "width D")
        self.class_token = self.add_weight(
            shape=(1, self.num_tokens, tokens_shape[-1]),
            initializer=self.initializer,
            name="class_token",
        )

    def call(self, tokens):
        batch_size, _, hidden_dim = keras.ops.shape(tokens)
        class_token = keras.ops.broadcast_to(
            keras.ops.cast(self.class_token, tokens.dtype),
            (batch_size, self.num_tokens, hidden_dim),
        )
        parts = [class_token, tokens]
        if self.index:
            before, after = tokens[:, : self.index], tokens[:, self.index :]
            parts = [before, class_token, after]
        return keras.ops.concatenate(parts, axis=1)

    def compute_output_shape(self, tokens_shape):
        batch_size, length, hidden_dim = tokens_shape
        if length is not None:
            length += self.num_tokens
        return (batch_size, length, hidden_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "index": self.index,
            "initializer": keras.initializers.serialize(self.initializer),
        }
