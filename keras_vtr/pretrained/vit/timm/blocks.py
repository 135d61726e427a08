"""timm's names of the encoder's blocks."""

from keras_vtr.models.vit.vit import SIZES
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import first_present
from keras_vtr.pretrained.vit.blocks import BlockNames
from keras_vtr.pretrained.vit.blocks import read_blocks
from keras_vtr.pretrained.vit.blocks import zero_biases

ATTENTION = {
    "query_projection": ("attn.qkv", 0),
    "key_projection": ("attn.qkv", 1),
    "value_projection": ("attn.qkv", 2),
    "output_projection": "attn.proj",
}
# timm's name, and the one of DINOv2's authors, who use timm's names otherwise.
INNER = ("mlp.fc1", "mlp.w12")
OUTPUT = ("mlp.fc2", "mlp.w3")
GATED = ("mlp.fc1_g", "mlp.fc1_x")
# Of the classes VisionTransformer and Eva.
SCALES = (("ls1.gamma", "ls2.gamma"), ("gamma_1", "gamma_2"))
NORMS = ("attn.q_norm", "attn.k_norm")
# Of Eva, which adds them to the joined projection; keys have none.
BIASES = {"query_projection": "attn.q_bias", "value_projection": "attn.v_bias"}


def read_encoder(shapes, settings):
    """Of the blocks and the norm: arguments of `build_vit`, weights, remarks.

    Args:
        shapes: Dict of tensor name to shape.
        settings: As from `read_settings`.
    """
    first = "blocks.0."
    found = [x for x in SCALES if f"{first}{x[0]}" in shapes]
    is_gated = f"{first}{GATED[0]}.weight" in shapes
    inner, output = (
        first_present(shapes, [first + x for x in names]).removeprefix(first)
        for names in (INNER, OUTPUT)
    )
    names = BlockNames(
        attention=ATTENTION,
        norms=("norm1", "norm2"),
        inner=GATED if is_gated else inner,
        output=output,
        scales=found[0] if found else (),
        query_key_norms=NORMS if f"{first}{NORMS[0]}.weight" in shapes else (),
    )
    arguments, weights = read_blocks(shapes, "blocks", names)
    weights |= from_tensors.norm("encoder/norm", "norm")
    remarks = ()
    if settings["rotary"]:
        remarks = _add_biases(weights, arguments, settings["has_bias"])
    hidden_dim, mlp_dim = shapes[f"{first}{output}.weight"]
    is_swiglu = is_gated or shapes[f"{first}{inner}.weight"][0] == 2 * mlp_dim
    by_size = {width: num_heads for width, _, num_heads, _ in SIZES.values()}
    arguments |= {
        "num_heads": settings["num_heads"] or by_size.get(hidden_dim),
        "layer_norm_epsilon": 1e-5 if settings["rotary"] else 1e-6,
        "activation": "swiglu" if is_swiglu else settings["activation"],
    }
    return arguments, weights, remarks


def _add_biases(weights, arguments, has_bias):
    """Replaces the joined bias; returns remarks."""
    given = BIASES if has_bias else {}
    joined = [x for x, name in ATTENTION.items() if not isinstance(name, str)]
    remarks = zero_biases(weights, [x for x in joined if x not in given])
    for i in range(arguments["num_layers"]):
        for ours, theirs in given.items():
            path = f"encoder/block_{i}/self_attention/layer/{ours}/bias"
            weights[path] = FromTensors((f"blocks.{i}.{theirs}",))
    return remarks
