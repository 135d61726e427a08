import keras

from keras_vtr.layers.arguments import check_rank


@keras.saving.register_keras_serializable(package="keras_vtr")
class RealTokens(keras.layers.Layer):
    """Computes the padding mask of token sequences.

    Shorter sequences of a batch are padded with a token that has no meaning
    (Vaswani et al. 2017, section 5.1, batch by length, which needs little
    padding). The output is the `padding_mask` of every attention to them.

    Args:
        padding_token: The token that padding consists of.

    Call arguments:
        tokens: (B, N) integers.

    Returns:
        (B, N) bool, True = real.

    Raises:
        ValueError: If the shape doesn't fit.

    Example:

    >>> layer = keras_vtr.layers.RealTokens()
    >>> print(np.array(layer(keras.ops.array([[7, 3, 0, 0]]))))
    [[ True  True False False]]
    """

    def __init__(self, padding_token=0, **kwargs):
        super().__init__(**kwargs)
        self.padding_token = padding_token

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, ("B", "N"))

    def call(self, tokens):
        return keras.ops.not_equal(tokens, self.padding_token)

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape, "bool")

    def get_config(self):
        return {**super().get_config(), "padding_token": self.padding_token}
