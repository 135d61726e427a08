"""timm's config.json of a ViT, key by key.

`architecture` is the name of a function of timm. Some of its settings show in
no tensor; `model_args` override them.
"""

import math

from keras_vtr.pretrained.name_map import multiply
from keras_vtr.pretrained.transformers_keys import read_common_keys
from keras_vtr.pretrained.vit.timm.architectures import ARCHITECTURES

POOLINGS = {"token": "class_token", "avg": "mean"}
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu"}
# Arguments of VisionTransformer that show in the tensors, or concern training
# and images that patches don't divide.
CHANGE_NOTHING = set(
    """
    patch_size in_chans num_classes embed_dim depth mlp_ratio init_values
    class_token no_embed_class reg_tokens qk_norm pos_embed distilled
    dynamic_img_size dynamic_img_pad strict_img_size weight_init fix_init
    drop_rate pos_drop_rate patch_drop_rate proj_drop_rate attn_drop_rate
    drop_path_rate
    """.split()
)
EXPECTED = {
    "qkv_bias": (True,),
    "proj_bias": (True,),
    "pre_norm": (False,),
    "final_norm": (True,),
    "fc_norm": (False,),
    "scale_attn_norm": (False,),
    "scale_mlp_norm": (False,),
    "pool_include_prefix": (False,),
    "norm_layer": ("layernorm",),
    "use_naflex": (False,),
}
# timm's PretrainedCfg: where weights come from, and how images are cropped.
ORIGIN = set(
    """
    url file hf_hub_id hf_hub_filename source architecture tag custom_load
    test_input_size min_input_size fixed_input_size interpolation crop_pct
    test_crop_pct crop_mode num_classes label_offset label_names labels
    label_descriptions pool_size test_pool_size first_conv classifier license
    description origin_url paper_name paper_ids notes num_features
    """.split()
)


def read_settings(config):
    """Settings that no tensor shows, or None; `sides` in pixels."""
    config.preprocessor.disregard()
    read_common_keys(config)
    config.expect({"model_type": ("timm_wrapper",)})
    # timm's training saves it in the file of weights.
    architecture = _known(config.training, "arch")
    architecture = _known(config, "architecture") or architecture
    num_heads, activation = ARCHITECTURES.get(architecture, (None, "gelu"))
    given = config.part("model_args")
    given.ignore(CHANGE_NOTHING)
    given.expect(EXPECTED)
    pretrained = config.part("pretrained_cfg")
    if not pretrained:  # older files have its keys at the top level
        pretrained = config
    for part in (config, pretrained):
        part.ignore(ORIGIN)
    pooling = given.choice("global_pool", POOLINGS)
    same = config.choice("global_pool", POOLINGS, given.get("global_pool"))
    if pooling not in (None, same):
        raise config.error("global_pool", f"as in model_args: {pooling}")
    mean, std = (
        pretrained.numbers(key, above=above)
        for key, above in (("mean", -math.inf), ("std", 0))
    )
    input_sides = pretrained.sides("input_size")
    return {
        "num_heads": given.integer("num_heads", num_heads),
        "activation": given.choice("act_layer", ACTIVATIONS, activation),
        "pooling": same,
        "sides": given.sides("img_size") or input_sides,
        "pixel_mean": mean and multiply(255.0, mean),
        "pixel_std": std and multiply(255.0, std),
        "has_architecture": architecture is not None,
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
