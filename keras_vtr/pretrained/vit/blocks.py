"""The blocks of a ViT's encoder, in torch's names of any project."""

import dataclasses

import numpy as np

from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained.from_tensors import FromTensors


@dataclasses.dataclass(frozen=True)
class BlockNames:
    """What a project calls the parts of a block, after the block's prefix.

    Args:
        attention: Dict of our names of the four projections to theirs; where
            theirs joins queries, keys and values: its name and which third.
        norms: Of attention and feed-forward.
        inner: The first dense layer, or a tuple of layers whose outputs are
            concatenated.
        output: The second dense layer.
        scales: The two tensors of layer scale; none by default.
        query_key_norms: Norms of queries and of keys; none by default.
    """

    attention: dict
    norms: tuple
    inner: str | tuple
    output: str
    scales: tuple = ()
    query_key_norms: tuple = ()


def read_blocks(shapes, stem, names):
    """Arguments of `build_vit`, and weights, of the blocks.

    Args:
        shapes: Dict of tensor name to shape.
        stem: Prefix of a block, before "." and its number.
        names: The `BlockNames`.
    """
    num_layers = from_tensors.count_layers(shapes, stem + ".{}.")
    weights = {}
    for i in range(num_layers):
        ours, theirs = f"encoder/block_{i}", f"{stem}.{i}"
        attention = f"{ours}/self_attention/layer"
        for our_name, name in names.attention.items():
            weights |= _projection(f"{attention}/{our_name}", theirs, name)
        for part, name in zip(
            ("query", "key"), names.query_key_norms, strict=False
        ):
            weights |= from_tensors.norm(
                f"{attention}/{part}_norm", f"{theirs}.{name}"
            )
        projection = f"{ours}/feed_forward/layer/inner_projection"
        weights |= _joined_dense(projection, theirs, names.inner)
        weights |= from_tensors.dense(
            f"{ours}/feed_forward/layer/output_projection",
            f"{theirs}.{names.output}",
        )
        for j, part in enumerate(("self_attention", "feed_forward")):
            weights |= from_tensors.norm(
                f"{ours}/{part}/norm", f"{theirs}.{names.norms[j]}"
            )
            if names.scales:
                weights[f"{ours}/{part}/layer_scale/scale"] = FromTensors(
                    (f"{theirs}.{names.scales[j]}",)
                )
    arguments = {
        "num_layers": num_layers,
        "mlp_dim": shapes[f"{stem}.0.{names.output}.weight"][1],
        "layer_scale": 1.0 if names.scales else None,
    }
    if names.query_key_norms:
        arguments["normalize_query_key"] = True
    return arguments, weights


def _projection(ours, prefix, name):
    if isinstance(name, str):
        return from_tensors.dense(ours, f"{prefix}.{name}")
    joined, third = name
    return from_tensors.projection_of_three(
        ours, f"{prefix}.{joined}.weight", f"{prefix}.{joined}.bias", third
    )


def _joined_dense(ours, prefix, names):
    if isinstance(names, str):
        return from_tensors.dense(ours, f"{prefix}.{names}")
    return {
        f"{ours}/kernel": FromTensors(
            tuple(f"{prefix}.{name}.weight" for name in names),
            lambda *x: np.concatenate(x).T,
        ),
        f"{ours}/bias": FromTensors(
            tuple(f"{prefix}.{name}.bias" for name in names),
            lambda *x: np.concatenate(x),
        ),
    }


def zero_biases(weights, layers):
    """Makes zeros of biases that the project does without.

    Args:
        weights: As in `NameMap`. Changed.
        layers: Ends of the paths of the layers, such as "key_projection".

    Returns:
        Remarks.
    """
    if not layers:
        return ()
    ends = tuple(f"{layer}/bias" for layer in layers)
    for path in [path for path in weights if path.endswith(ends)]:
        kernel = weights[f"{path.removesuffix('bias')}kernel"]
        weights[path] = _zeros_of(kernel)
    named = ", ".join(layers)
    return (f"The project has no biases in {named}; ours begin with zeros.",)


def _zeros_of(kernel):
    """A bias as wide as the outputs of a kernel."""

    def convert(*arrays):
        return np.zeros(kernel.convert(*arrays).shape[-1], "float32")

    return FromTensors(kernel.names, convert)
