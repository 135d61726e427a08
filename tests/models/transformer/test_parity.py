"""Against `torch.nn.Transformer`; `pytest -m parity`."""

import numpy as np
import pytest

from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.block_arguments import block_arguments
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

pytestmark = [
    pytest.mark.parity,
    # Of a fast path that torch can't take here.
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
]

WIDTH, HEADS, INNER, LAYERS = 12, 3, 20, 2
PROJECTIONS = ("query_projection", "key_projection", "value_projection")


def attention(state, name, layer):
    """Torch keeps the three projections in one matrix, outputs first."""
    projections = [getattr(layer, x) for x in PROJECTIONS]
    kernels = [x.kernel.numpy().T for x in projections]
    biases = [x.bias.numpy() for x in projections]
    state[f"{name}.in_proj_weight"] = np.concatenate(kernels)
    state[f"{name}.in_proj_bias"] = np.concatenate(biases)
    dense(state, f"{name}.out_proj", layer.output_projection)


def dense(state, name, layer):
    state[f"{name}.weight"] = layer.kernel.numpy().T
    state[f"{name}.bias"] = layer.bias.numpy()


def norm(state, name, layer):
    state[f"{name}.weight"] = layer.gamma.numpy()
    state[f"{name}.bias"] = layer.beta.numpy()


def state_of(encoder, decoder):
    state = {}
    stacks = (
        ("encoder", encoder, ("self_attention",)),
        ("decoder", decoder, ("self_attention", "cross_attention")),
    )
    torch_names = {
        "self_attention": "self_attn",
        "cross_attention": "multihead_attn",
    }
    for stack_name, stack, names in stacks:
        for i, block in enumerate(stack.blocks):
            place = f"{stack_name}.layers.{i}"
            for n, name in enumerate(names, 1):
                part = getattr(block, f"{name}_block")
                there = f"{place}.{torch_names[name]}"
                attention(state, there, part.branch)
                norm(state, f"{place}.norm{n}", part.branch_norm)
            part = block.feed_forward_block
            norm(state, f"{place}.norm{len(names) + 1}", part.branch_norm)
            dense(state, f"{place}.linear1", part.branch.inner_projection)
            dense(state, f"{place}.linear2", part.branch.output_projection)
        if stack.output_norm is not None:
            norm(state, f"{stack_name}.norm", stack.output_norm)
    return state


@pytest.mark.parametrize("normalize_first", [False, True])
def test_encoder_and_decoder_are_torch_s(normalize_first, rng):
    torch = pytest.importorskip("torch")
    parts = block_arguments(
        HEADS, INNER, activation="relu", normalize_first=normalize_first
    )
    encoder = TransformerEncoder(TransformerEncoderBlock(**parts), LAYERS)
    decoder = TransformerDecoder(TransformerDecoderBlock(**parts), LAYERS)
    source = rng.normal(size=(2, 5, WIDTH)).astype("float32")
    target = rng.normal(size=(2, 7, WIDTH)).astype("float32")
    is_real = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    decoder(target, encoder(source))
    set_weights(encoder)
    set_weights(decoder)
    reference = torch.nn.Transformer(
        *(WIDTH, HEADS, LAYERS, LAYERS, INNER),
        dropout=0.0,
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=normalize_first,
    ).eval()
    if not normalize_first:  # the paper has no norm after the last residual
        reference.encoder.norm = reference.decoder.norm = None
    state = state_of(encoder, decoder)
    reference.load_state_dict(
        {key: torch.tensor(x) for key, x in state.items()}
    )
    padding = torch.tensor(~is_real)
    with torch.no_grad():
        expected = reference(
            torch.tensor(source),
            torch.tensor(target),
            tgt_mask=torch.ones(7, 7, dtype=torch.bool).triu(1),
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
    memory = encoder(source, padding_mask=is_real)
    found = decoder(target, memory, padding_mask=is_real, use_causal_mask=True)
    np.testing.assert_allclose(to_numpy(found), expected.numpy(), atol=1e-5)
