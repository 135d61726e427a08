"""The layers in NumPy and float64, without any optimization.

`weights` is a dict of the layer's weights by the end of their path.
"""

import math

import numpy as np


def weights_of(layer):
    """Paths below the layer to float64 arrays."""
    return {
        weight.path.split(f"{layer.name}/", 1)[1]: weight.numpy().astype(
            "float64"
        )
        for weight in layer.weights
    }


def below(weights, prefix):
    return {
        path[len(prefix) + 1 :]: value
        for path, value in weights.items()
        if path.startswith(prefix + "/")
    }


def dense(weights, x):
    return x @ weights["kernel"] + weights["bias"]


def layer_norm(weights, x, epsilon):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * weights["gamma"] + (
        weights["beta"]
    )


def attention(
    weights,
    num_heads,
    query,
    key,
    value,
    query_positions=0.0,
    key_positions=0.0,
    mask=None,
):
    """`mask` (B, T, S), True = may be attended to. One head at a time."""
    q = dense(below(weights, "query_projection"), query + query_positions)
    k = dense(below(weights, "key_projection"), key + key_positions)
    v = dense(below(weights, "value_projection"), value)
    key_dim = q.shape[-1] // num_heads
    attended = np.zeros_like(q)
    scores = np.zeros((len(q), num_heads, q.shape[1], k.shape[1]))
    for b in range(len(q)):
        for h in range(num_heads):
            part = slice(h * key_dim, (h + 1) * key_dim)
            for t in range(q.shape[1]):
                logits = k[b, :, part] @ q[b, t, part] / math.sqrt(key_dim)
                allowed = np.ones(len(logits), bool)
                if mask is not None:
                    allowed = mask[b, t]
                if allowed.any():
                    e = np.exp(logits - logits[allowed].max()) * allowed
                    scores[b, h, t] = e / e.sum()
                attended[b, t, part] = scores[b, h, t] @ v[b, :, part]
    return dense(below(weights, "output_projection"), attended), scores


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def relu(x):
    return np.maximum(x, 0)


def two_layers(weights, x, activation):
    inner = activation(dense(below(weights, "inner_projection"), x))
    return dense(below(weights, "output_projection"), inner)


def feed_forward(weights, x, activation, normalize_first, epsilon):
    norm = below(weights, "norm")
    inner = layer_norm(norm, x, epsilon) if normalize_first else x
    output = x + two_layers(below(weights, "layer"), inner, activation)
    return output if normalize_first else layer_norm(norm, output, epsilon)


def attention_block(
    weights,
    num_heads,
    normalize_first,
    epsilon,
    query,
    memory=None,
    query_positions=0.0,
    memory_positions=0.0,
    mask=None,
):
    norm = below(weights, "norm")
    normed = layer_norm(norm, query, epsilon) if normalize_first else query
    if memory is None:
        memory, memory_positions = normed, query_positions
    attended, _ = attention(
        below(weights, "layer"),
        num_heads,
        normed,
        memory,
        memory,
        query_positions,
        memory_positions,
        mask,
    )
    output = query + attended
    return output if normalize_first else layer_norm(norm, output, epsilon)
