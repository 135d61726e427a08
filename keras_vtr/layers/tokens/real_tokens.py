import keras

from keras_vtr.layers.arguments import check_rank


@keras.saving.register_keras_serializable(package="keras_vtr")
class RealTokens(keras.layers.Layer):
    """Tells which tokens of sequences are real and which are padding.

    Sequences of several lengths share a batch when the shorter ones are filled
    up with a token that means nothing (Vaswani et al. 2017 batch by length,
    section 5.1, so that little is filled). What this returns is the
    `padding_mask` of every attention to such sequences.

    Args:
        padding: The token that means nothing.

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

    def __init__(self, padding=0, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, ("B", "N"))

    def call(self, tokens):
        return keras.ops.not_equal(tokens, self.padding)

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape, "bool")

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}
