"""transformers' DINOv3 ViTs: rotary positions, registers, gated layers.

Files have version 4's names, version 5 has others in memory; both are read.
"""

from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.vit.tokens import rotary_rule
from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.from_tensors import find_prefix
from keras_vtr.pretrained.from_tensors import first_present
from keras_vtr.pretrained.transformers_keys import read_common_keys
from keras_vtr.pretrained.transformers_keys import read_model_type
from keras_vtr.pretrained.vit.blocks import BlockNames
from keras_vtr.pretrained.vit.blocks import read_blocks
from keras_vtr.pretrained.vit.blocks import zero_biases
from keras_vtr.pretrained.vit.hugging_face import ACTIVATIONS
from keras_vtr.pretrained.vit.hugging_face import NAMES_5
from keras_vtr.pretrained.vit.hugging_face import SCALES
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import grid_of_sides
from keras_vtr.pretrained.vit.name_map import read_tokens

LICENSE = "DINOv3 License"
LICENSE_REMARK = (
    "The DINOv3 License travels along with these weights and with all that is "
    "made of them; read it before you pass them on."
)
PATCHES = "embeddings.patch_embeddings.weight"
GATED = ("mlp.gate_proj", "mlp.up_proj")
CHANGES_NOTHING = {  # or shows in the tensors, or concerns training
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "patch_size",
    "num_channels",
    "num_register_tokens",
    "use_gated_mlp",
    "layerscale_value",
    "attention_dropout",
    "drop_path_rate",
    "pos_embed_shift",
    "pos_embed_jitter",
    "pos_embed_rescale",
    "apply_layernorm",
    "reshape_hidden_states",
    "return_class_token",
}
# Their key, its default, and our layers.
BIASES = {
    "query_bias": (True, ("query_projection",)),
    "key_bias": (False, ("key_projection",)),
    "value_bias": (True, ("value_projection",)),
    "proj_bias": (True, ("self_attention/layer/output_projection",)),
    "mlp_bias": (
        True,
        ("inner_projection", "feed_forward/layer/output_projection"),
    ),
}


def recognize(shapes):
    prefix = find_prefix(shapes, PATCHES)
    return prefix is not None and f"{prefix}norm.weight" in shapes


def read(shapes, config, position_grid=None):
    read_model_type(config, ("dinov3_vit",))
    read_common_keys(config)
    config.ignore(CHANGES_NOTHING)
    prefix = find_prefix(shapes, PATCHES)
    embeddings = f"{prefix}embeddings."
    tokens, weights = read_tokens(
        shapes, (f"{embeddings}cls_token",), f"{embeddings}register_tokens"
    )
    blocks, block_weights = _read_blocks(shapes, prefix, config)
    weights |= block_weights
    weights |= from_tensors.norm("encoder/norm", f"{prefix}norm")
    weights |= from_tensors.convolution(
        "patches/projection", f"{embeddings}patch_embeddings"
    )
    remarks = zero_biases(weights, _layers_without_bias(config))
    hidden_dim, _, patch_size, _ = shapes[prefix + PATCHES]
    grid = grid_of_sides(config.sides("image_size"), patch_size, None)
    arguments = {
        **tokens,
        **blocks,
        "num_classes": 0,
        "patch_size": patch_size,
        "hidden_dim": hidden_dim,
        "num_heads": config.integer("num_attention_heads", REQUIRED),
        "layer_norm_epsilon": config.number("layer_norm_eps", 1e-5),
        "position": "rotary",
        "position_rule": rotary_rule(
            tokens["num_class_tokens"] + tokens["num_register_tokens"],
            config.number("rope_theta", 100.0, above=0),
        ),
    }
    if position_grid or grid:
        arguments["position_grid"] = position_grid or grid
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, IMAGENET_MEAN, IMAGENET_STD
    )
    return VitNameMap(
        "Hugging Face DINOv3",
        arguments | pixels,
        weights,
        unused=tuple(
            embeddings + name for name in ("mask_token", "register_tokens")
        ),
        remarks=(*remarks, *pixel_remarks, LICENSE_REMARK),
        knows_pixels=knows_pixels,
        license=LICENSE,
    )


def _layers_without_bias(config):
    return [
        layer
        for key, (default, layers) in BIASES.items()
        if not config.flag(key, default)
        for layer in layers
    ]


def _read_blocks(shapes, prefix, config):
    stems = [f"{prefix}layer", f"{prefix}model.layer"]
    stem = first_present(shapes, stems, ".0.norm1.weight")
    is_gated = f"{stem}.0.{GATED[0]}.weight" in shapes
    names = BlockNames(
        attention=NAMES_5,
        norms=("norm1", "norm2"),
        inner=GATED if is_gated else GATED[1],
        output="mlp.down_proj",
        scales=SCALES,
    )
    arguments, weights = read_blocks(shapes, stem, names)
    if is_gated:
        config.expect({"hidden_act": ("silu",)}, REQUIRED)
        arguments["activation"] = "swiglu"
    else:
        arguments["activation"] = config.choice(
            "hidden_act", ACTIVATIONS, "gelu"
        )
    return arguments, weights
