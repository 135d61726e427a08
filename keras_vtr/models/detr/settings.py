"""The sizes of `build_detr`, and checks of its arguments."""

import keras

from keras_vtr.classifiers import CLASSIFIERS
from keras_vtr.layers import AnchorAttentionBias
from keras_vtr.layers import BoxPositionBias
from keras_vtr.layers import MaskEmbeddingHead
from keras_vtr.layers import MaskHead
from keras_vtr.layers import RelativeRefinement
from keras_vtr.layers.arguments import check_choice
from keras_vtr.models.detr.features import PADDINGS

# Base: Carion et al. 2020, table 1. With 91 slots of classes, as the authors
# count COCO's; they train all but the ResNet's stem, first stage and norms.
#   backbone          parameters, without norms   trained by the authors
#   "resnet50"        41,524,768                  41,302,368
#   "resnet101"       60,464,672                  60,242,272
#   "resnet50_dc5"    41,524,768                  41,302,368
#   "resnet101_dc5"   60,464,672                  60,242,272
#   "resnet18"        28,843,552 (Table Transformer, pre-norm, has as many)
#   "resnet34"        38,944,288
# Small: ours, for small images and for learning; 488,655 parameters with 10
# classes and images of 3 channels, 515,607 with anchors.
# Modern: Lin et al. 2023, "DETR Does Not Need Multi-Scale or Locality Design",
# table 1, with the numbers of Robinson et al. 2025 (RF-DETR), for a ViT, which
# is an encoder itself; and the same for small images.
MODERN = {
    "queries": "selected",
    "classifier": "sigmoid",
    "attention_bias": lambda options: BoxPositionBias(
        options["num_heads"],
        mlp_dim=2 * options["hidden_dim"],
        prior=AnchorAttentionBias(options["num_heads"]),
    ),
    "box_refinement": lambda options: RelativeRefinement(),
    "look_forward_twice": True,
}
SMALL = {
    "backbone": "convolution_stem",
    "num_queries": 10,
    "hidden_dim": 96,
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "mlp_dim": 192,
    "dropout": 0.0,
    "normalize_first": True,
}
SIZES = {
    "base": {
        "backbone": "resnet50",
        "num_queries": 100,
        "hidden_dim": 256,
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "num_heads": 8,
        "mlp_dim": 2048,
        "dropout": 0.1,
        "normalize_first": False,
    },
    "small": SMALL,
    "modern": {
        **MODERN,
        "backbone": None,
        "num_queries": 300,
        "hidden_dim": 256,
        "num_encoder_layers": 0,
        "num_decoder_layers": 3,
        "num_heads": 8,
        "mlp_dim": 2048,
        "dropout": 0.0,
        "normalize_first": True,
    },
    "modern_small": {**SMALL, **MODERN},
}
BOX_OPTIONS = ("attention_bias", "box_refinement", "look_forward_twice")
DEFAULTS = {
    "queries": "learned",
    "classifier": "softmax",
    "activation": "relu",
    **dict.fromkeys(BOX_OPTIONS),
}
QUERIES = ("learned", "anchors", "selected")
EPSILON = 1e-5  # of the layer norms, torch's default


def with_size(size, given, block_options):
    """What is given, and else what the size has."""
    if size not in SIZES:
        raise ValueError(
            f"`size` must be one of {sorted(SIZES)}. Received: size={size!r}"
        )
    given = {**given, **block_options}
    given = {key: value for key, value in given.items() if value is not None}
    options = {**DEFAULTS, **SIZES[size], **given}
    twice = options["look_forward_twice"]
    if twice is not None and not isinstance(twice, bool):
        raise ValueError(
            "`look_forward_twice` must be True or False. Received: "
            f"look_forward_twice={twice!r}"
        )
    for key in BOX_OPTIONS:
        if key not in given and callable(options[key]):
            options[key] = options[key](options)
    of_boxes = {key: given[key] for key in BOX_OPTIONS if given.get(key)}
    if options["queries"] == "learned" and of_boxes:
        raise ValueError(
            'What belongs to boxes has no effect on queries="learned", which '
            'are no boxes. Use queries="anchors" or "selected". Received: '
            f"{of_boxes}"
        )
    if options.get("norm") is None:
        options.setdefault("layer_norm_epsilon", EPSILON)
    return {"attention_dropout": options["dropout"], **options}


def mask_head_of(size, num_heads):
    """The mask head of a size, if no other is given."""
    return MaskHead(num_heads) if size == "base" else MaskEmbeddingHead()


def check_numbers(num_classes, hidden_dim, num_heads):
    if num_classes < 1:
        raise ValueError(
            "`num_classes` must be 1 or more, without 'no object'. Received: "
            f"num_classes={num_classes}"
        )
    if hidden_dim % 4 or hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be a multiple of 4, for the position encoding, "
            f"and of `num_heads`. Received: hidden_dim={hidden_dim}, "
            f"num_heads={num_heads}"
        )


def check_choices(padding, classifier, queries, auxiliary_outputs, masks):
    if padding not in PADDINGS:
        raise ValueError(
            f"`padding` must be one of {PADDINGS}. Received: "
            f"padding={padding!r}"
        )
    check_choice("classifier", classifier, list(CLASSIFIERS))
    check_choice("queries", queries, QUERIES)
    if not isinstance(masks, (bool, keras.layers.Layer)):
        raise ValueError(
            "`masks` must be True, False or a mask head, such as "
            f"keras_vtr.layers.MaskEmbeddingHead(). Received: masks={masks!r}"
        )
    if queries == "selected" and not auxiliary_outputs:
        raise ValueError(
            "`auxiliary_outputs` must be True with "
            'queries="selected", because the loss of these outputs trains the '
            "selection. Received: auxiliary_outputs=False"
        )
