import keras
from keras import ops

from keras_vtr.models.transformer.token_search import TokenSearch

NEVER = float("-inf")  # the logarithm of probability 0


@keras.saving.register_keras_serializable(package="keras_vtr")
class BeamSearch(TokenSearch):
    """Follows several answers at once, and returns the best that ended.

    Each step goes on from the `num_beams` likeliest answers that haven't
    ended. One that ends is scored by its logarithmic probability over
    `((5 + length) / 6) ^ length_penalty` (Wu et al. 2016, equation 14), since
    every token makes an answer less likely and the shortest would win.
    The search stops when no answer that goes on could still become the best.
    Twice as many candidates as beams are looked at: if all beams ended at
    once, there would still be as many to go on from.

    Args:
        num_beams: W.
        length_penalty: alpha, 0 or more; 0 for none.

    Call arguments:
        memory: (B, N, ...), the encoder's output.
        padding_mask: Optional (B, N) bool, True = real.

    Returns:
        Dict of `"tokens"` (B, T) int32, the end token and zeros behind it
        included, and `"scores"` (B,), as above. Where nothing ended within T
        tokens, the best as far as it went.
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
        # All beams are the same at first: only one of them counts.
        first = ops.one_hot(ops.zeros((batch_size,), "int32"), self.num_beams)
        start = (
            ops.zeros((), "int32"),
            {"tokens": nothing, "scores": ops.where(first > 0, 0.0, never)},
            {"tokens": nothing, "scores": never},
            self.start(ops.repeat(memory, self.num_beams, axis=0)),
        )
        _, alive, ended, _ = ops.while_loop(
            self._goes_on,
            lambda *state: self._write(*state, padding_mask),
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

    def _goes_on(self, place, alive, ended, cache):
        best_to_come = ops.max(alive["scores"], axis=1)
        best_to_come = best_to_come / self._penalty(self.max_length)
        is_open = best_to_come > ops.max(ended["scores"], axis=1)
        return (place < self.max_length) & ops.any(is_open)

    def _write(self, place, alive, ended, cache, padding_mask):
        """One token more: the 2 W best ways on, the W best of each kind."""
        last = ops.take(alive["tokens"], ops.maximum(place - 1, 0), axis=2)
        last = ops.where(place == 0, self.start_token, last)  # (B, W)
        logs, cache = self.step(
            ops.reshape(last, (-1,)), place, cache, padding_mask
        )
        candidates, beams = self._extend(alive, logs, place)
        tokens, scores = candidates["tokens"], candidates["scores"]
        is_end = candidates["last"] == self.end_token
        end_scores = ops.where(is_end, scores / self._penalty(place + 1), NEVER)
        ended, _ = _best(
            self.num_beams,
            ops.concatenate([ended["tokens"], tokens], axis=1),
            ops.concatenate([ended["scores"], end_scores], axis=1),
        )
        alive, kept = _best(
            self.num_beams, tokens, ops.where(is_end, NEVER, scores)
        )
        beams = ops.take_along_axis(beams, kept, axis=1)  # (B, W)
        return place + 1, alive, ended, self._reorder(cache, beams)

    def _penalty(self, length):
        length = ops.cast(length, "float32")
        return ((5.0 + length) / 6.0) ** self.length_penalty

    def _extend(self, alive, logs, place):
        """The 2 W best ways on, and the beams that they come from."""
        num_tokens = logs.shape[-1]
        shape = (-1, self.num_beams, num_tokens)
        scores = alive["scores"][..., None] + ops.reshape(logs, shape)
        scores = ops.reshape(scores, (-1, self.num_beams * num_tokens))
        scores, which = ops.top_k(scores, 2 * self.num_beams)
        which = ops.cast(which, "int32")
        beams, last = which // num_tokens, which % num_tokens
        tokens = ops.take_along_axis(alive["tokens"], beams[..., None], axis=1)
        is_place = ops.arange(self.max_length, dtype="int32") == place
        tokens = ops.where(is_place, last[..., None], tokens)
        return {"tokens": tokens, "scores": scores, "last": last}, beams

    def _reorder(self, cache, beams):
        """The pasts of the beams that go on; their memory is the same."""

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
    """The `count` best rows of each image, best first, and their places."""
    scores, which = ops.top_k(scores, count)
    which = ops.cast(which, "int32")
    tokens = ops.take_along_axis(tokens, which[..., None], axis=1)
    return {"tokens": tokens, "scores": scores}, which
