import keras
from keras import ops

from keras_vtr.models.transformer.token_search import TokenSearch

NEVER = float("-inf")  # the logarithm of probability 0


@keras.saving.register_keras_serializable(package="keras_vtr")
class BeamSearch(TokenSearch):
    """Extends several answers at once, and returns the best finished one.

    Each step extends the `num_beams` likeliest unfinished answers. The score of
    a finished one is its logarithmic probability over `((5 + length) / 6) ^
    length_penalty` (Wu et al. 2016, equation 14), since every token makes an
    answer less likely and the shortest would win.
    The search stops when no unfinished answer could still become the best.
    Twice as many candidates as beams are kept: if all beams ended at once,
    as many unfinished ones would remain.

    Args:
        num_beams: W.
        length_penalty: alpha, 0 or more; 0 for none.

    Call arguments:
        memory: (B, N, ...), the encoder's output.
        padding_mask: Optional (B, N) bool, True = real.

    Returns:
        Dict of `"tokens"` (B, T) int32, the end token and zeros after it
        included, and `"scores"` (B,), as above. If nothing ended within T
        tokens, the best unfinished one.
    """

    def __init__(
        self,
        parts,
        start_token,
        end_token,
        max_length,
        num_beams,
        length_penalty,
        **kwargs,
    ):
        super().__init__(parts, start_token, end_token, max_length, **kwargs)
        self.num_beams = num_beams
        self.length_penalty = length_penalty

    def call(self, memory, padding_mask=None):
        batch_size = ops.shape(memory)[0]
        if padding_mask is not None:
            padding_mask = ops.repeat(padding_mask, self.num_beams, axis=0)
        shape = (batch_size, self.num_beams)
        nothing = ops.zeros((*shape, self.max_length), "int32")
        never = ops.full(shape, NEVER, "float32")
        # All beams are equal at first, so only one may count.
        first = ops.one_hot(ops.zeros((batch_size,), "int32"), self.num_beams)
        start = (
            ops.zeros((), "int32"),
            {"tokens": nothing, "scores": ops.where(first > 0, 0.0, never)},
            {"tokens": nothing, "scores": never},
            self.start(ops.repeat(memory, self.num_beams, axis=0)),
        )
        _, alive, ended, _ = ops.while_loop(
            self._is_unfinished,
            lambda *state: self._add_token(*state, padding_mask),
            start,
        )
        has_ended = ended["scores"][:, 0] > NEVER
        so_far = alive["scores"][:, 0] / self._penalty(self.max_length)
        return {
            "tokens": ops.where(
                has_ended[:, None], ended["tokens"][:, 0], alive["tokens"][:, 0]
            ),
            "scores": ops.where(has_ended, ended["scores"][:, 0], so_far),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "num_beams": self.num_beams,
            "length_penalty": self.length_penalty,
        }

    def _is_unfinished(self, index, alive, ended, cache):
        best_to_come = ops.max(alive["scores"], axis=1)
        best_to_come = best_to_come / self._penalty(self.max_length)
        is_open = best_to_come > ops.max(ended["scores"], axis=1)
        return (index < self.max_length) & ops.any(is_open)

    def _add_token(self, index, alive, ended, cache, padding_mask):
        """Adds one token: 2 W candidates, W kept of each kind."""
        last = ops.take(alive["tokens"], ops.maximum(index - 1, 0), axis=2)
        last = ops.where(index == 0, self.start_token, last)  # (B, W)
        logs, cache = self.step(
            ops.reshape(last, (-1,)), index, cache, padding_mask
        )
        candidates, beams = self._extend(alive, logs, index)
        tokens, scores = candidates["tokens"], candidates["scores"]
        is_end = candidates["last"] == self.end_token
        end_scores = ops.where(is_end, scores / self._penalty(index + 1), NEVER)
        ended, _ = _best(
            self.num_beams,
            ops.concatenate([ended["tokens"], tokens], axis=1),
            ops.concatenate([ended["scores"], end_scores], axis=1),
        )
        alive, kept = _best(
            self.num_beams, tokens, ops.where(is_end, NEVER, scores)
        )
        beams = ops.take_along_axis(beams, kept, axis=1)  # (B, W)
        return index + 1, alive, ended, self._reorder(cache, beams)

    def _penalty(self, length):
        length = ops.cast(length, "float32")
        return ((5.0 + length) / 6.0) ** self.length_penalty

    def _extend(self, alive, logs, index):
        """The 2 W best candidates, and the beams that they extend."""
        num_tokens = logs.shape[-1]
        shape = (-1, self.num_beams, num_tokens)
        scores = alive["scores"][..., None] + ops.reshape(logs, shape)
        scores = ops.reshape(scores, (-1, self.num_beams * num_tokens))
        scores, which = ops.top_k(scores, 2 * self.num_beams)
        which = ops.cast(which, "int32")
        beams, last = which // num_tokens, which % num_tokens
        tokens = ops.take_along_axis(alive["tokens"], beams[..., None], axis=1)
        is_index = ops.arange(self.max_length, dtype="int32") == index
        tokens = ops.where(is_index, last[..., None], tokens)
        return {"tokens": tokens, "scores": scores, "last": last}, beams

    def _reorder(self, cache, beams):
        """The caches of the beams that are kept; their memory is the same."""

        def pick(past):  # (B W, H, T, key_dim)
            by_image = ops.reshape(past, (-1, self.num_beams, *past.shape[1:]))
            picked = ops.take_along_axis(
                by_image, beams[..., None, None, None], axis=1
            )
            return ops.reshape(picked, (-1, *past.shape[1:]))

        return [
            (pick(keys), pick(values), *of_memory)
            for keys, values, *of_memory in cache
        ]


def _best(count, tokens, scores):
    """The `count` best rows of each image, best first, and their indexes."""
    scores, which = ops.top_k(scores, count)
    which = ops.cast(which, "int32")
    tokens = ops.take_along_axis(tokens, which[..., None], axis=1)
    return {"tokens": tokens, "scores": scores}, which
