"""timm's config.json of a ViT, key by key.

`architecture` is the name of a function of timm. Some of its settings show in
no tensor; `model_args` override them.
"""

from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.name_map import multiply
from keras_vtr.pretrained.transformers_keys import read_common_keys
from keras_vtr.pretrained.vit.timm.architectures import ARCHITECTURES
from keras_vtr.pretrained.vit.timm.architectures import Architecture

POOLINGS = {"token": "class_token", "avg": "mean"}
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu"}
# Arguments of VisionTransformer and Eva that show in the tensors, or concern
# training and images that patches don't divide.
CHANGE_NOTHING = set(
    """
    patch_size in_chans num_classes embed_dim depth mlp_ratio init_values
    class_token no_embed_class reg_tokens qk_norm pos_embed distilled
    num_reg_tokens swiglu_mlp swiglu_align_to head_init_scale
    rope_shift_coords rope_jitter_coords rope_rescale_coords
    dynamic_img_size dynamic_img_pad strict_img_size weight_init fix_init
    drop_rate pos_drop_rate patch_drop_rate proj_drop_rate attn_drop_rate
    drop_path_rate
    """.split()
)
EXPECTED = {
    "proj_bias": (True,),
    "pre_norm": (False,),
    "final_norm": (True,),
    "fc_norm": (False,),
    "scale_attn_norm": (False,),
    "scale_mlp_norm": (False,),
    "pool_include_prefix": (False,),
    "norm_layer": ("layernorm",),
    "use_naflex": (False,),
    # Of Eva alone.
    "use_fc_norm": (False,),
    "use_pre_transformer_norm": (False,),
    "use_post_transformer_norm": (True,),
    "use_post_norm": (False,),
    "attn_type": ("eva",),
    "attn_only_layer_scale": (False,),
    "qkv_fused": (True,),
    "scale_attn_inner": (False,),
    "scale_mlp": (False,),
    "use_abs_pos_emb": (False,),
    "use_rot_pos_emb": (True,),
    "rope_type": ("dinov3",),
    "rope_grid_offset": (0.0,),
    "rope_grid_indexing": ("ij",),
    "rope_temperature": (100.0,),
    "rope_rotate_half": (True,),
}
# timm's PretrainedCfg: where weights come from, and how images are cropped.
ORIGIN = set(
    """
    url file hf_hub_id hf_hub_filename source architecture tag custom_load
    test_input_size min_input_size fixed_input_size interpolation crop_pct
    test_crop_pct crop_mode num_classes label_names labels
    label_descriptions pool_size test_pool_size first_conv classifier license
    description origin_url paper_name paper_ids notes num_features
    """.split()
)


def read_settings(config, is_eva=False):
    """Settings that no tensor shows, or None; `sides` in pixels.

    Args:
        config: The `Configuration`.
        is_eva: Whether the names are those of timm's class Eva, whose rotary
            positions only the architecture tells.
    """
    config.preprocessor.disregard()
    read_common_keys(config)
    config.expect({"model_type": ("timm_wrapper",)})
    # timm's training saves it in the file of weights.
    architecture = _known(config.training, "arch")
    architecture = _known(config, "architecture") or architecture
    if is_eva and architecture is None:
        config.get("architecture", REQUIRED)
    known = ARCHITECTURES.get(architecture, Architecture())
    given = config.part("model_args")
    given.ignore(CHANGE_NOTHING)
    given.expect({**EXPECTED, "qkv_bias": (known.has_bias,)})
    pretrained = config.part("pretrained_cfg")
    if not pretrained:  # older files have its keys at the top level
        pretrained = config
    for part in (config, pretrained):
        part.ignore(ORIGIN)
        part.expect({"label_offset": (0,)})
    input_sides = pretrained.sides("input_size")
    return {
        "num_heads": given.integer("num_heads", known.num_heads),
        "activation": given.choice("act_layer", ACTIVATIONS, known.activation),
        "rotary": known.rotary,
        "has_bias": known.has_bias,
        "pooling": _pooling(config, given, known.rotary),
        "sides": given.sides("img_size") or input_sides,
        **_pixels(pretrained),
        "license": pretrained.get("license"),
        "has_architecture": architecture is not None,
    }


def _pooling(config, given, is_required):
    """As config.json says it, once or twice; None if it doesn't."""
    pooling = given.choice("global_pool", POOLINGS)
    default = given.get("global_pool")
    if default is None and is_required:
        default = REQUIRED
    same = config.choice("global_pool", POOLINGS, default)
    if pooling not in (None, same):
        raise config.error("global_pool", f"as in model_args: {pooling}")
    return same


def _pixels(pretrained):
    """Mean and standard deviation in [0, 255]: both, or None."""
    is_given = "mean" in pretrained or "std" in pretrained
    default = REQUIRED if is_given else None
    mean = pretrained.numbers("mean", default)
    std = pretrained.numbers("std", default, above=0)
    return {
        "pixel_mean": mean and multiply(255.0, mean),
        "pixel_std": std and multiply(255.0, std),
    }


def _known(config, key):
    """The name of an architecture; None if there is none."""
    name = config.get(key)
    if name is None:
        return None
    base = str(name).partition(".")[0]  # "vit_base_patch16_224.augreg_in1k"
    if base not in ARCHITECTURES:
        raise config.error(
            key,
            "the name of a model with build_vit's layers, such as "
            f"{', '.join(list(ARCHITECTURES)[1:4])} (timm 1.0.31)",
            "If timm has renamed the model, write its old name in the file.",
        )
    return base
