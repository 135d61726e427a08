"""The original Transformer once more, in NumPy and float64."""

import math

import numpy as np

from tests.layers import numpy_reference as reference

EPSILON = 1e-6


def positions(length, width):
    """Vaswani et al. 2017, section 3.5, one number at a time."""
    table = np.zeros((length, width))
    for place in range(length):
        for i in range(width // 2):
            angle = place / 10000 ** (2 * i / width)
            table[place, 2 * i] = math.sin(angle)
            table[place, 2 * i + 1] = math.cos(angle)
    return table


def transformer(model, inputs, num_heads, normalize_first):
    """Logits (B, T, V) of `build_transformer`'s model, by figure 1."""
    matrix = reference.weights_of(model.get_layer("embedding"))["embeddings"]
    width = matrix.shape[1]

    def embed(tokens):
        x = matrix[tokens] * math.sqrt(width)
        return x + positions(tokens.shape[1], width)

    source, target = inputs["source"], inputs["target"]
    of_source = (source != 0)[:, None, :]  # (B, 1, S)
    num_targets = target.shape[1]
    of_past = np.tril(np.ones((1, num_targets, num_targets), bool))
    among_source = np.repeat(of_source, source.shape[1], axis=1)
    to_source = np.repeat(of_source, num_targets, axis=1)
    of_past = np.repeat(of_past, len(target), axis=0)

    settings = (num_heads, normalize_first, EPSILON)
    memory = embed(source)
    for weights in blocks(model.get_layer("encoder")):
        memory = reference.attention_block(
            reference.below(weights, "self_attention"),
            *settings,
            memory,
            mask=among_source,
        )
        memory = feed_forward(weights, memory, normalize_first)
    memory = normalize(model.get_layer("encoder"), memory)
    x = embed(target)
    for weights in blocks(model.get_layer("decoder")):
        x = reference.attention_block(
            reference.below(weights, "self_attention"),
            *settings,
            x,
            mask=of_past,
        )
        x = reference.attention_block(
            reference.below(weights, "cross_attention"),
            *settings,
            x,
            memory,
            mask=to_source,
        )
        x = feed_forward(weights, x, normalize_first)
    x = normalize(model.get_layer("decoder"), x)
    return x @ matrix.T


def blocks(stack):
    weights = reference.weights_of(stack)
    for i in range(stack.num_layers):
        yield reference.below(weights, f"block_{i}")


def normalize(stack, x):
    """The norm that a pre-norm stack ends with."""
    if stack.output_norm is None:
        return x
    norm = reference.below(reference.weights_of(stack), "norm")
    return reference.layer_norm(norm, x, EPSILON)


def feed_forward(weights, x, normalize_first):
    return reference.feed_forward(
        reference.below(weights, "feed_forward"),
        x,
        reference.relu,
        normalize_first,
        EPSILON,
    )
