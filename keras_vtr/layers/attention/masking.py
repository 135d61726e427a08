"""Masks of attention, and the softmax under a mask."""

import functools

from keras import ops


def combine_masks(
    query, key, padding_mask=None, attention_mask=None, use_causal_mask=False
):
    """Combines the masks of attention into one.

    Args:
        query: (B, T, ...). Only its shape is read.
        key: (B, S, ...). Only its shape is read.
        padding_mask: Optional (B, S), True = real.
        attention_mask: Optional (B, T, S) or (1, T, S), True where query t may
            attend to key s.
        use_causal_mask: If True, query t sees keys 0..t only.

    Returns:
        Bool, broadcastable to (B, H, T, S), or None for no mask.

    Raises:
        ValueError: If a mask doesn't fit.
    """
    batch_size, num_queries = query.shape[:2]
    num_keys = key.shape[1]
    masks = []
    if padding_mask is not None:
        _check_mask("padding_mask", padding_mask, B=batch_size, S=num_keys)
        masks.append(padding_mask[:, None, None, :])
    if attention_mask is not None:
        sides = {"B": batch_size, "T": num_queries, "S": num_keys}
        _check_mask("attention_mask", attention_mask, **sides)
        masks.append(attention_mask[:, None])
    if use_causal_mask:
        num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
        causal = (
            ops.arange(num_queries, dtype="int32")[:, None]
            >= ops.arange(num_keys, dtype="int32")[None, :]
        )
        masks.append(causal[None, None])
    if not masks:
        return None
    return functools.reduce(
        ops.logical_and, [ops.cast(mask, "bool") for mask in masks]
    )


def attention_weights(query, keys, mask=None, bias=None):
    """The softmax of the logits, float32.

    Args:
        query: (B, H, T, key_dim), scaled.
        keys: (B, H, S, key_dim).
        mask: Optional bool, broadcastable to (B, H, T, S).
        bias: Optional, likewise; added to the logits.

    Returns:
        (B, H, T, S).
    """
    logits = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))
    if bias is not None:
        logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
    return masked_softmax(logits, mask)


def masked_softmax(logits, mask):
    """Softmax over the last axis, in float32; a fully masked row is zeros."""
    logits = ops.cast(logits, "float32")
    if mask is None:
        return _softmax(logits)
    # Finite, because a row of -inf alone would become NaN.
    logits = ops.where(mask, logits, -1e30)
    return ops.where(mask, _softmax(logits), 0.0)


def _softmax(logits):
    # Keras 3.15 warns of a softmax over one number, but a sequence may have
    # one token.
    if logits.shape[-1] == 1:
        return ops.ones_like(logits)
    return ops.softmax(logits, axis=-1)


def _check_mask(name, mask, **sides):
    """Requires the rank, and the sides that are known.

    An unknown side is None, or JAX's symbol. A mask with a batch of 1 fits
    every batch.
    """
    fits = len(mask.shape) == len(sides) and all(
        found == side or (letter == "B" and found == 1)
        for found, (letter, side) in zip(mask.shape, sides.items(), strict=True)
        if isinstance(found, int) and isinstance(side, int)
    )
    if not fits:
        expected = ", ".join(
            f"{letter}={side}" if isinstance(side, int) else letter
            for letter, side in sides.items()
        )
        raise ValueError(
            f"`{name}` must have the shape ({expected}), True where a key may "
            f"be attended to. Received: {name}.shape={tuple(mask.shape)}"
        )
