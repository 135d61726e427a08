import keras
from keras import ops

from keras_vtr.models.transformer.token_search import TokenSearch


@keras.saving.register_keras_serializable(package="keras_vtr")
class GreedySearch(TokenSearch):
    """Takes the likeliest token each time.

    Call arguments:
        memory: (B, N, ...), the encoder's output.
        padding_mask: Optional (B, N) bool, True = real.

    Returns:
        Dict of `"tokens"` (B, T) int32, the end token and zeros behind it
        included, and `"scores"` (B,), the logarithm of their probability.
    """

    def call(self, memory, padding_mask=None):
        batch_size = ops.shape(memory)[0]
        places = ops.arange(self.max_length, dtype="int32")

        def goes_on(place, token, tokens, scores, is_done, cache):
            return (place < self.max_length) & ~ops.all(is_done)

        def write(place, token, tokens, scores, is_done, cache):
            logs, cache = self.step(token, place, cache, padding_mask)
            token = ops.cast(ops.argmax(logs, axis=-1), "int32")
            token = ops.where(is_done, 0, token)
            scores += ops.where(is_done, 0.0, ops.max(logs, axis=-1))
            tokens = ops.where(places == place, token[:, None], tokens)
            is_done = is_done | (token == self.end_token)
            return place + 1, token, tokens, scores, is_done, cache

        start = (
            ops.zeros((), "int32"),
            ops.full((batch_size,), self.start_token, "int32"),
            ops.zeros((batch_size, self.max_length), "int32"),
            ops.zeros((batch_size,), "float32"),
            ops.zeros((batch_size,), "bool"),
            self.start(memory),
        )
        _, _, tokens, scores, _, _ = ops.while_loop(goes_on, write, start)
        return {"tokens": tokens, "scores": scores}
