import keras
from keras import ops

from keras_vtr.models.transformer.token_search import TokenSearch


@keras.saving.register_keras_serializable(package="keras_vtr")
class GreedySearch(TokenSearch):
    """Takes the likeliest token at each step.

    Call arguments:
        memory: (B, N, ...), the encoder's output.
        padding_mask: Optional (B, N) bool, True = real.

    Returns:
        Dict of `"tokens"` (B, T) int32, the end token and zeros after it
        included, and `"scores"` (B,), the logarithm of their probability.
    """

    def call(self, memory, padding_mask=None):
        batch_size = ops.shape(memory)[0]
        every_index = ops.arange(self.max_length, dtype="int32")

        def is_unfinished(index, token, tokens, scores, is_done, cache):
            return (index < self.max_length) & ~ops.all(is_done)

        def add_token(index, token, tokens, scores, is_done, cache):
            logs, cache = self.step(token, index, cache, padding_mask)
            token = ops.cast(ops.argmax(logs, axis=-1), "int32")
            token = ops.where(is_done, 0, token)
            scores += ops.where(is_done, 0.0, ops.max(logs, axis=-1))
            tokens = ops.where(every_index == index, token[:, None], tokens)
            is_done = is_done | (token == self.end_token)
            return index + 1, token, tokens, scores, is_done, cache

        start = (
            ops.zeros((), "int32"),
            ops.full((batch_size,), self.start_token, "int32"),
            ops.zeros((batch_size, self.max_length), "int32"),
            ops.zeros((batch_size,), "float32"),
            ops.zeros((batch_size,), "bool"),
            self.start(memory),
        )
        _, _, tokens, scores, _, _ = ops.while_loop(
            is_unfinished, add_token, start
        )
        return {"tokens": tokens, "scores": scores}
