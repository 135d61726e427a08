"""Attention that works through its queries in chunks.

The weights of one chunk exist at a time. The backward pass computes them again
and has the gradients of Dao et al. 2022 ("FlashAttention", appendix B.2); a
chunk has all keys, so that its softmax is the ordinary one.
"""

import keras
from keras import ops

from keras_vtr.layers.attention.masking import attention_weights


def has_chunks(query, chunk_size):
    """Whether queries, (B, H, T, key_dim), are or can be more than a chunk."""
    num_queries = query.shape[2]
    if chunk_size is None or num_queries is None:
        return chunk_size is not None
    # JAX's symbol for an unknown length can't be divided into chunks.
    return isinstance(num_queries, int) and num_queries > chunk_size


def attend_in_chunks(query, keys, values, mask, bias, *, chunk_size, drop):
    """The weighted means of the values, (B, H, T, key_dim).

    Args:
        query: (B, H, T, key_dim), scaled.
        keys: (B, H, S, key_dim).
        values: (B, H, S, key_dim).
        mask: Optional bool, broadcastable to (B, H, T, S).
        bias: Optional, likewise.
        chunk_size: The most queries of a chunk.
        drop: Dropout, a linear function of weights, and of the number of the
            chunk, which decides what is dropped.
    """
    rows = _Rows(ops.shape(query)[2], chunk_size)

    # A mask has no gradient.
    @ops.custom_gradient
    def attend(query, keys, values, *biases):
        inputs = (query, keys, values, mask, *biases)
        attended = _forward(rows, drop, *inputs)

        def gradient(upstream):
            return _backward(rows, drop, upstream, attended, inputs)

        return attended, gradient

    return attend(query, keys, values, *([] if bias is None else [bias]))


def dropout_of_chunks(layer, training):
    """The `drop` of `attend_in_chunks` for a `keras.layers.Dropout`."""
    if not training or not layer.rate:
        return lambda weights, index: weights
    state = layer.seed_generator.state
    first, second = ops.unstack(layer.seed_generator.next())

    def drop(weights, index):
        seed = ops.stack([first + ops.cast(index, first.dtype), second])
        with keras.StatelessScope([(state, seed)]):
            return layer(weights, training=True)

    return drop


def _forward(rows, drop, query, keys, values, mask, bias=None):
    def step(index, attended):
        inputs = rows.take(index, query, mask, bias)
        weights = attention_weights(inputs[0], keys, *inputs[1:])
        weights = drop(ops.cast(weights, values.dtype), index)
        return [rows.push(attended, ops.matmul(weights, values))]

    query, mask, bias = rows.pad(query, mask, bias)
    (attended,) = rows.loop(step, [ops.zeros_like(query)])
    return rows.unpad(attended)


def _backward(rows, drop, upstream, attended, inputs):
    """The gradients of query, keys, values and, where there is one, bias."""
    query, keys, values, mask, *bias = inputs
    # The mean of the gradients of a row of weights, weighted by them.
    mean = _float32(upstream) * _float32(attended)
    mean = ops.sum(mean, axis=-1, keepdims=True)
    given = (query, keys, values, *bias)
    padded = rows.pad(query, upstream, mean, mask, *bias)

    def step(index, to_query, to_keys, to_values, *to_bias):
        queries, above, mean, *more = rows.take(index, *padded)
        weights = attention_weights(queries, keys, *more)
        dropped = drop(ops.cast(weights, values.dtype), index)
        to_weights = drop(ops.matmul(above, _transposed(values)), index)
        to_logits = weights * (_float32(to_weights) - mean)
        to_product = ops.cast(to_logits, keys.dtype)
        return [
            rows.push(to_query, _float32(ops.matmul(to_product, keys))),
            to_keys + _float32(ops.matmul(_transposed(to_product), queries)),
            to_values + _float32(ops.matmul(_transposed(dropped), above)),
            *(rows.add(total, to_logits) for total in to_bias),
        ]

    zeros = [
        ops.zeros(ops.shape(x), "float32")
        for x in (padded[0], keys, values, *padded[4:])
    ]
    to_query, to_keys, to_values, *to_bias = rows.loop(step, zeros)
    found = (
        rows.unpad(to_query),
        to_keys,
        to_values,
        *map(rows.unpad, to_bias),
    )
    return tuple(
        ops.cast(x, like.dtype) for x, like in zip(found, given, strict=True)
    )


class _Rows:
    """The third axis of tensors, (B, H, T, ...), in equally large chunks.

    What has one row has the same for all queries, and is never cut.
    """

    def __init__(self, num_rows, chunk_size):
        self.num_rows = num_rows
        self.num_chunks = -(-num_rows // chunk_size)
        self.size = -(-num_rows // self.num_chunks)

    def pad(self, *tensors):
        """With rows of zeros up to a multiple of the size of a chunk."""
        missing = self.num_chunks * self.size - self.num_rows
        margins = [(0, 0), (0, 0), (0, missing), (0, 0)]
        return [x if _is_row(x) else ops.pad(x, margins) for x in tensors]

    def unpad(self, x):
        return x if _is_row(x) else x[:, :, : self.num_rows]

    def take(self, index, *tensors):
        """The rows of a chunk."""

        def slice_of(x):
            batch_size, num_heads, _, width = ops.shape(x)
            return ops.slice(
                x,
                (0, 0, index * self.size, 0),
                (batch_size, num_heads, self.size, width),
            )

        return [x if _is_row(x) else slice_of(x) for x in tensors]

    def push(self, queue, x):
        """Appends a chunk; as many rows leave, so that in the end all have."""
        return ops.concatenate([queue[:, :, self.size :], x], axis=2)

    def add(self, total, x):
        """Appends a chunk, summed over the axes where `total` has size 1."""
        for axis in range(4):
            if total.shape[axis] == 1:
                x = ops.sum(x, axis=axis, keepdims=True)
        return total + x if _is_row(total) else self.push(total, x)

    def loop(self, step, carry):
        """Calls `step(index, *carry)` for each chunk; returns the last carry.

        TensorFlow's loop would begin a chunk before the one before it has
        ended, and store the weights of several. So `index` waits for it.
        """

        def body(index, *carry):
            carry = step(index, *carry)
            end = ops.sum(carry[0][:1, :1, -1:, :1])
            return (index + 1 + 0 * ops.cast(end, "int32"), *carry)

        index = ops.zeros((), "int32")
        _, *carry = ops.while_loop(
            lambda index, *_: index < self.num_chunks, body, (index, *carry)
        )
        return carry


def _is_row(x):
    """Whether `x` is None, or one row."""
    return x is None or x.shape[2] == 1


def _transposed(x):
    return ops.transpose(x, (0, 1, 3, 2))


def _float32(x):
    return ops.cast(x, "float32")
