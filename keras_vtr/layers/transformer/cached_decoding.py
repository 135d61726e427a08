"""A causal decoder, one token after the other, with cached keys and values.

With `use_causal_mask` no token sees a later one, so the earlier keys and
values don't change when a token is added. They are cached, and those of
`memory` as well, so that a step costs the work of one token instead of the
complete sequence (Shazeer 2019, "Fast Transformer Decoding", section 2.4).
"""

from keras import ops


def start_cache(decoder, memory, num_tokens):
    """The cache before the first token.

    Args:
        decoder: A built `TransformerDecoder`.
        memory: (B, N, ...), the encoder's output.
        num_tokens: The most tokens that will be decoded.

    Returns:
        For each block the keys and values of the tokens, two of (B, H,
        num_tokens, key_dim), still zeros, and of `memory`, two of
        (B, H, N, key_dim).
    """
    cache = []
    for block in decoder.blocks:
        attention = block.cross_attention_block.branch
        keys, values = attention.keys_and_values(memory)
        batch_size, num_heads, _, key_dim = ops.shape(keys)
        zeros = ops.zeros(
            (batch_size, num_heads, num_tokens, key_dim), keys.dtype
        )
        cache.append((zeros, zeros, keys, values))
    return cache


def decode_step(decoder, token, cache, index, padding_mask=None):
    """Decodes one token as `decoder` does with `use_causal_mask`.

    Args:
        decoder: A built `TransformerDecoder`. It runs without dropout.
        token: (B, 1, D), the next token.
        cache: The output of `start_cache` or of the last step.
        index: The number of tokens before this one, an int32 scalar.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.

    Returns:
        The last layer's answer (B, 1, D), and the new `cache`.
    """
    if padding_mask is not None:
        padding_mask = padding_mask[:, None, None, :]
    numbers = ops.arange(cache[0][0].shape[2], dtype="int32")
    is_known = (numbers <= index)[None, None, None]  # (1, 1, 1, num_tokens)
    is_new = (numbers == index)[None, None, :, None]
    new_cache = []
    for block, (keys, values, *of_memory) in zip(
        decoder.blocks, cache, strict=True
    ):
        attention = block.self_attention_block
        new_keys, new_values = attention.branch.keys_and_values(
            attention.before(token)
        )
        keys = ops.where(is_new, new_keys, keys)
        values = ops.where(is_new, new_values, values)
        token = _attend(attention, token, keys, values, is_known)
        token = _attend(
            block.cross_attention_block, token, *of_memory, padding_mask
        )
        token = block.feed_forward_block(token, training=False)
        new_cache.append((keys, values, *of_memory))
    if decoder.output_norm is not None:
        token = decoder.output_norm(token)
    return token, new_cache


def _attend(residual, token, keys, values, mask):
    """A `Residual`'s output for cached keys and values."""
    attended, _ = residual.branch.attend(
        residual.before(token), keys, values, mask, training=False
    )
    return residual.add(token, attended, training=False)
