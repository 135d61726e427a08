import keras
from keras import ops

from keras_vtr.layers.transformer.cached_decoding import decode_step
from keras_vtr.layers.transformer.cached_decoding import start_cache
from keras_vtr.stages import Transformer

PADDING = 0
PARTS = (
    Transformer.EMBEDDING,
    Transformer.SCALE,
    Transformer.POSITIONS,
    Transformer.DECODER,
)


class TokenSearch(keras.layers.Layer):
    """The base of greedy and beam search: a decoder, token by token.

    Args:
        parts: Dict of the transformer's layers by their names, `PARTS`.
        start_token: The first token of every target.
        end_token: The last one.
        max_length: T, the most tokens of an answer, its end included.
    """

    def __init__(self, parts, start_token, end_token, max_length, **kwargs):
        super().__init__(**kwargs)
        self.parts = {name: parts[name] for name in PARTS}
        self.start_token = start_token
        self.end_token = end_token
        self.max_length = max_length

    def build(self, memory_shape):
        """All weights are those of the transformer, and there already."""

    def compute_output_spec(self, memory, padding_mask=None):
        return {
            "tokens": keras.KerasTensor(
                (memory.shape[0], self.max_length), "int32"
            ),
            "scores": keras.KerasTensor((memory.shape[0],), "float32"),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "parts": {
                name: keras.saving.serialize_keras_object(part)
                for name, part in self.parts.items()
            },
            "start_token": self.start_token,
            "end_token": self.end_token,
            "max_length": self.max_length,
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(part)
            for name, part in config["parts"].items()
        }
        return cls(**{**config, "parts": parts})

    def start(self, memory):
        return start_cache(
            self.parts[Transformer.DECODER], memory, self.max_length
        )

    def step(self, tokens, index, cache, padding_mask):
        """(B,) tokens to log-probabilities (B, V) of the next ones."""
        embedding = self.parts[Transformer.EMBEDDING]
        x = self.parts[Transformer.SCALE](
            embedding(tokens[:, None])
        )  # (B, 1, D)
        shape = (1, self.max_length, x.shape[-1])
        positions = self.parts[Transformer.POSITIONS](ops.zeros(shape, x.dtype))
        x = x + ops.take(positions, index[None], axis=1)
        x, cache = decode_step(
            self.parts[Transformer.DECODER], x, cache, index, padding_mask
        )
        logits = ops.cast(embedding(x, reverse=True)[:, 0], "float32")
        # Training leaves the logit of padding undefined.
        is_word = ops.arange(logits.shape[-1]) != PADDING
        logits = ops.where(is_word, logits, float("-inf"))
        return ops.log_softmax(logits, axis=-1), cache
