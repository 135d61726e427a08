"""Keys of transformers' files, and the values that our models compute.

From `PreTrainedConfig` and `BaseImageProcessor` of versions 4.57 and 5.24.
"""

from keras_vtr.pretrained.configuration import REQUIRED

UNUSED_NAMES = ("N/A", "", None)
# Of names, training, the form of outputs, and the generation of text.
BOOKKEEPING = set(
    """
    _name_or_path name_or_path _commit_hash architectures transformers_version
    torch_dtype dtype id2label label2id num_labels problem_type finetuning_task
    task_specific_params tokenizer_class output_attentions
    output_hidden_states return_dict torchscript use_bfloat16 use_cache
    tf_legacy_loss chunk_size_feed_forward _attn_implementation
    attn_implementation _attn_implementation_autoset attention_implementation
    _attn_implementation_internal _experts_implementation
    _experts_implementation_internal experts_implementation
    _output_attentions gradient_checkpointing initializer_range
    is_encoder_decoder tie_word_embeddings tie_encoder_decoder max_length
    min_length do_sample early_stopping num_beams num_beam_groups
    diversity_penalty temperature top_k top_p typical_p repetition_penalty
    length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size
    num_return_sequences
    output_scores return_dict_in_generate remove_invalid_values prefix
    bos_token_id pad_token_id eos_token_id sep_token_id decoder_start_token_id
    stage_names out_features out_indices
    """.split()
)
EXPECTED = {
    "add_cross_attention": (False,),
    "is_decoder": (False,),
}
# Of an image processor, before pixels are normalized.
PREPARATION = set(
    """
    do_resize size resample max_size default_to_square size_divisor
    do_center_crop crop_size crop_pct do_pad pad_size do_convert_rgb
    do_convert_annotations do_reduce_labels reduce_labels format data_format
    input_data_format return_tensors device disable_grouping
    _valid_processor_keys feature_extractor_type image_processor_type
    processor_class
    """.split()
)

# ViT, DeiT, DINOv2 and the hybrid.
VIT_CHANGES_NOTHING = {  # or shows in the tensors
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "mlp_ratio",
    "patch_size",
    "num_channels",
    "num_register_tokens",
    "use_swiglu_ffn",
    "use_mask_token",
    "layerscale_value",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "drop_path_rate",
    "encoder_stride",  # of a decoder that restores masked images
    "pooler_output_size",
    "apply_layernorm",  # of a backbone's feature maps
    "reshape_hidden_states",
    "backbone_featmap_shape",
}
VIT_EXPECTED = {
    "qkv_bias": (True,),
    "pooler_act": ("tanh",),
    "interpolate_antialias": (True,),  # DINOv2 with registers
    "interpolate_offset": (0.0,),
    "use_pretrained_backbone": (False,),
    "use_timm_backbone": (False,),
}
# Of the hybrid's ResNet, BitConfig.
BIT_CHANGES_NOTHING = {
    "num_channels",
    "embedding_size",
    "hidden_sizes",
    "depths",
    "drop_path_rate",
}
BIT_EXPECTED = {
    "model_type": ("bit",),
    "hidden_act": ("relu",),
    "num_groups": (32,),
    "output_stride": (32,),
    "width_factor": (1,),
}
BIT_REQUIRED = {  # the defaults of BitConfig are other values
    "layer_type": ("bottleneck",),
    "global_padding": ("SAME", "same"),
    "embedding_dynamic_padding": (True,),
}
# Models whose tensors have names of ours, or nearly, and who they are.
LOOKALIKES = {
    "beit": "BEiT has a table of relative positions in each block, and layer "
    "scale under other names; it can't be loaded.",
    "data2vec-vision": "data2vec has the blocks of BEiT; it can't be loaded.",
    "vit_mae": "MAE (ViTMAE) reads a random quarter of the patches, and its "
    "weights may not be used commercially; it can't be loaded.",
    "vit_msn": "MSN (ViTMSN) is another training of the ViT; it is not tested "
    "here and can't be loaded.",
    "ijepa": "I-JEPA has no class token, and its mean over tokens is none of "
    "the ViT's; it can't be loaded.",
    "siglip2": "SigLIP 2 NaFlex reads patches of any aspect ratio; load a "
    "SigLIP 2 of fixed size.",
    "metaclip_2": "MetaCLIP 2 has CLIP's names; it is not tested here and "
    "can't be loaded.",
    "clipseg": "CLIPSeg is CLIP with a decoder of masks; it can't be loaded.",
    "eomt_dinov3": "This EoMT is made of a DINOv3; an EoMT of a DINOv2 can be "
    "loaded.",
}


def read_model_type(config, known):
    """One of the known values of `model_type`; another model is named.

    Args:
        config: The `Configuration`.
        known: The values that the family computes.
    """
    found = config.get("model_type", REQUIRED)
    if found not in known and found in LOOKALIKES:
        raise config.error(
            "model_type", f"one of {sorted(known)}", LOOKALIKES[found]
        )
    return config.choice("model_type", list(known))


def read_common_keys(config):
    """Uses the keys that every config.json of transformers has."""
    config.ignore(BOOKKEEPING)
    config.expect(EXPECTED)
    if config.preprocessor is not None:
        config.preprocessor.ignore(PREPARATION)
        config.preprocessor.expect({"do_flip_channel_order": (False,)})


def read_vit_keys(config):
    """Uses the keys of a ViT's config.json that are not read elsewhere."""
    read_common_keys(config)
    config.ignore(VIT_CHANGES_NOTHING)
    config.expect(VIT_EXPECTED)
    bit = config.part("backbone_config")
    if bit:
        read_common_keys(bit)
        bit.ignore(BIT_CHANGES_NOTHING)
        bit.expect(BIT_EXPECTED)
        bit.expect(BIT_REQUIRED, REQUIRED)


def read_class_names(config, num_classes, key="id2label"):
    """K names, None for an unused class; or None if there are none."""
    given = config.get(key)
    if given is None or not num_classes:
        return None
    if isinstance(given, list) and len(given) == num_classes:
        given = {str(i): name for i, name in enumerate(given)}
    classes = {str(i) for i in range(num_classes)}
    is_dict = isinstance(given, dict) and set(given) <= classes
    if not is_dict or not all(isinstance(x, str) for x in given.values()):
        raise config.error(
            key,
            f"a dict from '0' ... '{num_classes - 1}' to names, or a list of "
            f"{num_classes} names",
        )
    if all(name == f"LABEL_{i}" for i, name in given.items()):
        return None  # transformers' placeholders
    names = [given.get(str(i)) for i in range(num_classes)]
    return tuple(None if name in UNUSED_NAMES else name for name in names)
