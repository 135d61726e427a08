"""A causal decoder, one token after the other, with the past remembered.

With `use_causal_mask` no token sees a later one, so the past doesn't change
when a token is added. Its keys and values, and those of `memory`, are kept,
and a step costs one token's work instead of the whole sequence's. Shazeer 2019
("Fast Transformer Decoding", section 2.4) spells the steps out.
"""

from keras import ops


def start_cache(decoder, memory, num_tokens):
    """What `decode_step` remembers, before the first token.

    Args:
        decoder: A built `TransformerDecoder`.
        memory: (B, N, ...), the encoder's output.
        num_tokens: How many tokens will be decoded at most.

    Returns:
        For each block the keys and values of the tokens, two of (B, H,
        num_tokens, key_dim), zeros as yet, and of `memory`, two of
        (B, H, N, key_dim).
    """
    cache = []
    for block in decoder.blocks:
        attention = block.cross_attention_block.branch
        keys, values = attention.keys_and_values(memory)
        batch_size, num_heads, _, key_dim = ops.shape(keys)
        room = ops.zeros(
            (batch_size, num_heads, num_tokens, key_dim), keys.dtype
        )
        cache.append((room, room, keys, values))
    return cache


def decode_step(decoder, token, cache, place, padding_mask=None):
    """Decodes the next token as `decoder` would with `use_causal_mask`.

    Without dropout: what is written is kept, not trained.

    Args:
        decoder: A built `TransformerDecoder`.
        token: (B, 1, D), the next token.
        cache: What `start_cache` or the last step returned.
        place: How many tokens came before, an int32 scalar.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.

    Returns:
        The last layer's answer (B, 1, D), and the new `cache`.
    """
    if padding_mask is not None:
        padding_mask = padding_mask[:, None, None, :]
    places = ops.arange(cache[0][0].shape[2], dtype="int32")
    is_known = (places <= place)[None, None, None]  # (1, 1, 1, num_tokens)
    is_new = (places == place)[None, None, :, None]
    new_cache = []
    for block, (keys, values, *of_memory) in zip(
        decoder.blocks, cache, strict=True
    ):
        attention = block.self_attention_block
        before = attention.before(token)
        new_keys, new_values = attention.branch.keys_and_values(before)
        keys = ops.where(is_new, new_keys, keys)
        values = ops.where(is_new, new_values, values)
        token = _attend(attention, token, keys, values, is_known)
        cross_attention = block.cross_attention_block
        token = _attend(cross_attention, token, *of_memory, padding_mask)
        token = block.feed_forward_block(token, training=False)
        new_cache.append((keys, values, *of_memory))
    if decoder.output_norm is not None:
        token = decoder.output_norm(token)
    return token, new_cache


def _attend(block, token, keys, values, mask):
    """A block's output for keys and values that are known already."""
    attended, _ = block.branch.attend(
        block.before(token), keys, values, mask, training=False
    )
    return block.add(token, attended, training=False)
