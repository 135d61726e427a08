"""The sizes of `build_detr`, and checks of its arguments."""

from keras_vtr.classifiers import CLASSIFIERS
from keras_vtr.layers.arguments import check_choice
from keras_vtr.models.detr.features import PADDINGS

# Base: Carion et al. 2020, table 1. With 91 slots of classes, as the authors
# count COCO's; they train all but the ResNet's stem, first stage and norms.
#   backbone          parameters, without norms   trained by the authors
#   "resnet50"        41,524,768                  41,302,368
#   "resnet101"       60,464,672                  60,242,272
#   "resnet50_dc5"    41,524,768                  41,302,368
#   "resnet101_dc5"   60,464,672                  60,242,272
# Small: ours, for small images and for learning; 488,655 parameters with 10
# classes and images of 3 channels, 515,607 with anchors.
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
    "small": {
        "backbone": "convolution_stem",
        "num_queries": 10,
        "hidden_dim": 96,
        "num_encoder_layers": 1,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "mlp_dim": 192,
        "dropout": 0.0,
        "normalize_first": True,
    },
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
    options = {**SIZES[size], "activation": "relu", **given}
    if options.get("norm") is None:
        options.setdefault("layer_norm_epsilon", EPSILON)
    return {"attention_dropout": options["dropout"], **options}


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


def check_choices(padding, classifier, queries, box_options):
    if padding not in PADDINGS:
        raise ValueError(
            f"`padding` must be one of {PADDINGS}. Received: "
            f"padding={padding!r}"
        )
    check_choice("classifier", classifier, list(CLASSIFIERS))
    check_choice("queries", queries, QUERIES)
    found = {key: value for key, value in box_options.items() if value}
    if queries == "learned" and found:
        raise ValueError(
            "What belongs to boxes has no effect on "
            'queries="learned", which are no boxes. Use queries="anchors" or '
            f'"selected". Received: {found}'
        )
