"""Keys of DETR's configurations that show in the tensors or are checked."""

from keras_vtr.pretrained.resnet.keys import check_plain
from keras_vtr.pretrained.resnet.keys import read_transformers_resnet
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import read_common_keys

# The only values that we compute.
EXPECTED = {
    "activation_function": ("relu",),
    "position_embedding_type": ("sine",),
    "scale_embedding": (False,),
}
KINDS = ("detr", "table-transformer")
# Names that end in these belong to its successors, which compute other things.
SUCCESSORS = {
    "ca_qcontent_proj.weight": "Conditional DETR or DAB-DETR",
    "query_refpoint_embeddings.weight": "DAB-DETR",
    "sampling_offsets.weight": "Deformable DETR",
    "pos_trans.weight": "Deformable DETR of two stages",
}
# Of the loss, of training, of the initialization.
CHANGES_NOTHING = set(
    """
    dropout attention_dropout activation_dropout classifier_dropout
    encoder_layerdrop decoder_layerdrop init_std init_xavier_std
    class_cost bbox_cost giou_cost mask_loss_coefficient dice_loss_coefficient
    bbox_loss_coefficient giou_loss_coefficient eos_coefficient
    max_position_embeddings use_pretrained_backbone use_timm_backbone
    """.split()
)
# Arguments of the authors' program, which its files may contain.
TRAINING_EXPECTED = {"position_embedding": ("sine", "v2")}


def read_detr_keys(config, arguments, resnet, num_channels):
    """Uses all keys.

    Args:
        config: The `Configuration`.
        arguments: Of `build_detr`, as read from the tensors.
        resnet: Of `build_resnet`, as read from the tensors.
        num_channels: Of the images.

    Returns:
        Number of heads, and whether the backbone is dilated (DC5); None for
        what the file doesn't have.
    """
    read_common_keys(config)
    _read_kind(config, arguments["normalize_first"])
    config.ignore(CHANGES_NOTHING)
    sizes = {
        "encoder_layers": arguments["num_encoder_layers"],
        "num_hidden_layers": arguments["num_encoder_layers"],
        "decoder_layers": arguments["num_decoder_layers"],
        "encoder_ffn_dim": arguments["mlp_dim"],
        "decoder_ffn_dim": arguments["mlp_dim"],
        "d_model": arguments["hidden_dim"],
        "hidden_size": arguments["hidden_dim"],
        "num_queries": arguments["num_queries"],
        "num_channels": num_channels,
    }
    num_heads = config.integer("encoder_attention_heads")
    if num_heads is not None:
        names = ("decoder_attention_heads", "num_attention_heads")
        sizes |= dict.fromkeys(names, num_heads)
    config.expect(EXPECTED | {key: (size,) for key, size in sizes.items()})
    dilation = _read_backbone(config, resnet, num_channels)
    training = config.training.part("args")
    training.expect(TRAINING_EXPECTED)
    training.expect({"pre_norm": (arguments["normalize_first"],)})
    check_plain(training, "backbone")
    if num_heads is None:
        num_heads = training.integer("nheads")
    if dilation is None:
        dilation = training.flag("dilation")
    return num_heads, dilation


def refuse_successors(shapes, config):
    """Refuses detectors whose names are DETR's."""
    config.choice("model_type", KINDS)
    for name in shapes:
        for end, successor in SUCCESSORS.items():
            if name.endswith(end):
                raise PretrainedError(
                    f"The file is of {successor}, since it has {name!r}; "
                    "build_detr makes DETR and Table Transformer."
                )


def _read_kind(config, normalize_first):
    """transformers' two DETRs: Table Transformer is the one with pre-norm."""
    kind = KINDS[normalize_first]
    config.expect({"model_type": (kind,)})
    if normalize_first:
        # With it, transformers 5.24 normalizes between the decoder's layers.
        config.expect({"auxiliary_loss": (False,)})
    config.ignore(("auxiliary_loss",))


def _read_backbone(config, resnet, num_channels):
    """Whether the last stage is dilated; None if the file doesn't have it."""
    backbone = config.part("backbone_config")
    options = config.part("backbone_kwargs")
    check_plain(config, "backbone")
    if backbone.get("model_type") == "timm_backbone":
        read_common_keys(backbone)
        backbone.ignore(("use_pretrained_backbone", "freeze_batch_norm_2d"))
        backbone.expect(
            {"features_only": (True,), "num_channels": (num_channels,)}
        )
        check_plain(backbone, "backbone")
    else:
        read_transformers_resnet(backbone, **resnet, num_channels=num_channels)
    options.expect({"in_chans": (num_channels,)})
    num_stages = len(resnet["num_blocks"])
    stride = 2 ** (num_stages + 1)
    for part in (backbone, options):
        _check_last(part, "out_features", (f"stage{num_stages}",))
        _check_last(part, "out_indices", (num_stages, -1))
        part.expect({"output_stride": (stride, stride // 2)})
    is_dilated = any(
        part.get("output_stride") == stride // 2 for part in (backbone, options)
    )
    if is_dilated or config.flag("dilation"):
        return True
    return False if config else None


def _check_last(part, key, expected):
    """DETR uses the last feature map."""
    value = part.get(key)
    if value is not None and (
        not isinstance(value, list) or value[-1:] not in [[x] for x in expected]
    ):
        raise part.error(key, f"a list that ends in {expected[0]!r}")
