from keras_vtr.models.transformer.beam_search import BeamSearch
from keras_vtr.models.transformer.greedy_search import GreedySearch
from keras_vtr.models.transformer.sequence_model import SequenceModel
from keras_vtr.models.transformer.token_search import PARTS
from keras_vtr.stages import Transformer


def build_generator(
    transformer,
    *,
    start_token,
    end_token,
    max_length,
    num_beams=1,
    length_penalty=0.6,
    name="generator",
):
    """Builds the generator: a source in, the target's tokens out.

    Vaswani et al. 2017, section 6.1: autoregressive decoding, greedy
    (`num_beams=1`) or by beam search (the paper's: `num_beams=4`). Keys and
    values of earlier tokens are cached. The loop is one graph, which `predict`
    compiles and `export` writes. The weights are shared with `transformer`.

    Args:
        transformer: What `build_transformer` returned.
        start_token: The first token of each target in training.
        end_token: The last one.
        max_length: T, the most tokens of an answer, the end token included.
        num_beams: How many answers are extended at once.
        length_penalty: alpha of Wu et al. 2016, equation 14, 0 or more: the
            larger, the longer the answers. For beam search only.
        name: Name of the model.

    Returns:
        A `keras_vtr.models.SequenceModel` from a dict of `"source"`, as the
        transformer's, to a dict of `"tokens"` (B, T) int32, the end token and
        zeros after it included, and `"scores"` (B,) float32: the logarithm of
        the answer's probability, divided by the length penalty in beam search.

    Raises:
        ValueError: If an argument is out of its range, or `transformer` isn't
            what `build_transformer` returns.

    Example:

    >>> transformer = keras_vtr.models.build_transformer(
    ...     20, hidden_dim=8, num_layers=1, num_heads=2, mlp_dim=16
    ... )
    >>> generator = keras_vtr.models.build_generator(
    ...     transformer, start_token=1, end_token=2, max_length=6, num_beams=4
    ... )
    >>> source = np.array([[3, 4, 5], [6, 0, 0]])
    >>> print(generator.predict({"source": source}, verbose=0)["tokens"].shape)
    (2, 6)
    """
    names = {layer.name for layer in transformer.layers}
    missing = {*PARTS, Transformer.MEMORY} - names
    if missing:
        raise ValueError(
            "`transformer` must be what `build_transformer` returns. Received: "
            f"a model {transformer.name!r} without layers {sorted(missing)}"
        )
    tokens = {"start_token": start_token, "end_token": end_token}
    _check_arguments(transformer, tokens, max_length, num_beams, length_penalty)
    parts = {part: transformer.get_layer(part) for part in PARTS}
    memory = transformer.get_layer(Transformer.MEMORY).output
    padding_mask = None
    if Transformer.REAL_TOKENS in names:
        padding_mask = transformer.get_layer(Transformer.REAL_TOKENS).output
    arguments = {**tokens, "max_length": max_length, "name": "search"}
    if num_beams == 1:
        search = GreedySearch(parts, **arguments)
    else:
        search = BeamSearch(
            parts,
            **arguments,
            num_beams=num_beams,
            length_penalty=length_penalty,
        )
    source = {"source": transformer.input["source"]}
    answers = search(memory, padding_mask=padding_mask)
    return SequenceModel(source, answers, name=name)


def _check_arguments(
    transformer, tokens, max_length, num_beams, length_penalty
):
    last = transformer.get_layer(Transformer.EMBEDDING).input_dim - 1
    for name, token in tokens.items():
        if not isinstance(token, int) or not 1 <= token <= last:
            raise ValueError(
                f"`{name}` must be a token from 1 to {last}; 0 is padding. "
                f"Received: {name}={token!r}"
            )
    for name, count in (("max_length", max_length), ("num_beams", num_beams)):
        if not isinstance(count, int) or count < 1:
            raise ValueError(
                f"`{name}` must be an integer, 1 or more. Received: "
                f"{name}={count!r}"
            )
    if not length_penalty >= 0:
        raise ValueError(
            "`length_penalty` must be 0 or more. Received: "
            f"length_penalty={length_penalty}"
        )
