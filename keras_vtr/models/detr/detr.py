import keras

from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.features import PADDINGS
from keras_vtr.models.detr.features import read_images
from keras_vtr.models.detr.heads import draw_masks
from keras_vtr.models.detr.heads import predict
from keras_vtr.models.detr.transformer import DECODERS
from keras_vtr.models.detr.transformer import encode
from keras_vtr.models.named_model import with_names
from keras_vtr.stages import DETR

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
EPSILON = 1e-5  # of the layer norms, torch's default


def build_detr(
    num_classes,
    *,
    size="base",
    image_shape=(None, None, 3),
    backbone=None,
    padding=None,
    queries="learned",
    num_queries=None,
    hidden_dim=None,
    num_encoder_layers=None,
    num_decoder_layers=None,
    auxiliary_outputs=True,
    masks=False,
    class_names=None,
    pixel_mean=None,
    pixel_std=None,
    name="detr",
    **block_options,
):
    """Builds a detector: images in, a set of classes and boxes out.

    Carion et al. 2020, "End-to-End Object Detection with Transformers",
    figures 2 and 10 and appendix A.4: a backbone makes a feature map, its
    pixels become tokens, self-attention in the encoder relates them, the
    decoder turns object queries into one answer each, and two small heads
    predict a class and a box from each answer. The defaults are the paper's.

    Each stage is a named layer of a functional model (`keras_vtr.stages`), so
    the graph can be read, cut and rewired:
    `keras.Model(detr.input, detr.get_layer("encoder").output)`.

    Args:
        num_classes: K, real classes only.
        size: "base", the paper's, or "small", for small images and for
            learning; what is None below is the size's.
        image_shape: (height, width, channels); height and width may be None.
        backbone: "resnet50", "resnet101", "resnet50_dc5", "resnet101_dc5"
            (DC5: the last stage keeps 1/16 of the resolution) or
            "convolution_stem"; a ViT from `build_vit` or `from_pretrained`, of
            which `keras_vtr.backbones.build_vit_backbone` takes a copy; or any
            Keras model from normalized images, (B, height, width, channels), to
            one feature map (B, height', width', features), or to a list of
            them, the one for the encoder last.
        padding: How images of several sizes share a batch. None: they don't.
            Otherwise the model has a second input, `padding_mask`, and
            attention and position encodings use real pixels only. "exact": the
            backbone ignores padding, too, and the detections of an image don't
            depend on it. "published": padding enters the backbone as zeros, as
            in the authors' code, and changes detections near the lower and
            right edge a little; with a ViT, which attends to it, all of them.
        queries: "learned", the paper's `ObjectQueries`; or "anchors",
            `AnchorQueries` and `AnchorDecoder` of its successors, which with
            `add_denoising` learn in half the steps (benchmarks/README.md).
        num_queries: Q, more than the most objects in an image.
        hidden_dim: Width D of the tokens, a multiple of 4 and of `num_heads`.
        num_encoder_layers: How many blocks the encoder has.
        num_decoder_layers: L, how many blocks the decoder has.
        auxiliary_outputs: Whether the model also returns the answers of the
            decoder layers before the last one, for the loss (section 3.2,
            "auxiliary decoding losses").
        masks: Whether a mask head predicts a mask for each query (section 4.4,
            panoptic segmentation), from all of the backbone's feature maps.
        class_names: Optional K names, None for a class that isn't used; kept
            as `model.class_names` and saved with the model.
        pixel_mean: Mean of each channel in [0, 255], one number a channel or
            one for all. Default: a ViT's own; else ImageNet's.
        pixel_std: Standard deviation, likewise.
        name: Name of the model.
        **block_options: Of encoder and decoder: `num_heads`, `mlp_dim`,
            `dropout` and `normalize_first`, which else are the size's (True is
            pre-norm, which learns sooner than the paper's post-norm);
            `attention_dropout` (default: `dropout`), `activation`, `norm` or
            `layer_norm_epsilon`, `normalize_query_key`, `layer_scale`,
            `stochastic_depth`, `query_chunk_size`, as in
            `TransformerDecoderBlock` and its parts.

    Returns:
        A `keras_vtr.models.DetectionModel` from pixels in [0, 255],
        (B, height, width, channels), or with `padding` from a dict of them,
        `"images"`, and `"padding_mask"` (B, height, width) bool, True = real,
        to a dict of float32: `"logits"` (B, Q, K + 1), the last one "no
        object", and `"boxes"` (B, Q, 4), `rel_center_xywh`; with `masks` also
        `"masks"` (B, Q, height', width') logits, as fine as the finest feature
        map; with `auxiliary_outputs` and L > 1 also `"auxiliary_logits"`
        (B, L - 1, Q, K + 1) and `"auxiliary_boxes"` (B, L - 1, Q, 4).

    Raises:
        ValueError: If an argument is out of its range, or the backbone
            doesn't fit the images or gives no feature map.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3, size="small", image_shape=(64, 96, 3), num_queries=5
    ... )
    >>> outputs = detr(keras.ops.ones((2, 64, 96, 3)))
    >>> print(tuple(outputs["logits"].shape), tuple(outputs["boxes"].shape))
    (2, 5, 4) (2, 5, 4)
    """
    given = {
        "backbone": backbone,
        "num_queries": num_queries,
        "hidden_dim": hidden_dim,
        "num_encoder_layers": num_encoder_layers,
        "num_decoder_layers": num_decoder_layers,
    }
    options = _settings(size, given, block_options)
    backbone, num_queries, hidden_dim, *depths = (
        options.pop(key) for key in given
    )
    num_heads = options["num_heads"]
    _check_arguments(num_classes, hidden_dim, num_heads, padding, queries)
    inputs, feature_maps, padding_mask = read_images(
        image_shape, backbone, padding, pixel_mean, pixel_std
    )
    projection = keras.layers.Conv2D(
        hidden_dim, 1, data_format="channels_last", name=DETR.INPUT_PROJECTION
    )
    feature_map = projection(feature_maps[-1])  # (B, height', width', D)
    options = block_arguments(**options)
    memory = encode(feature_map, padding_mask, depths[0], options)
    answers = DECODERS[queries](
        memory, feature_map, padding_mask, num_queries, depths[1], options
    )
    outputs = predict(*answers, num_classes, auxiliary_outputs)
    if masks:
        maps = [*feature_maps[:-1], feature_map]
        outputs["masks"] = draw_masks(
            num_heads, answers[0], memory["memory"], maps, padding_mask
        )
    return with_names(DetectionModel(inputs, outputs, name=name), class_names)


def _settings(size, given, block_options):
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


def _check_arguments(num_classes, hidden_dim, num_heads, padding, queries):
    if queries not in DECODERS:
        raise ValueError(
            f"`queries` must be one of {sorted(DECODERS)}. Received: "
            f"queries={queries!r}"
        )
    if padding not in PADDINGS:
        raise ValueError(
            f"`padding` must be one of {PADDINGS}. Received: "
            f"padding={padding!r}"
        )
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
