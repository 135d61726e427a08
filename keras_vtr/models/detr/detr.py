import keras

from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import AnchorQueries
from keras_vtr.layers import ObjectQueries
from keras_vtr.layers import PixelCenters
from keras_vtr.layers import SinePositionEncoding2D
from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.features import PADDINGS
from keras_vtr.models.detr.features import read_features
from keras_vtr.models.detr.features import read_pixels
from keras_vtr.models.detr.heads import draw_masks
from keras_vtr.models.detr.heads import predict
from keras_vtr.models.detr.heads import read_boxes
from keras_vtr.models.named_model import with_names

# Carion et al. 2020, table 1, with 91 slots of classes as the authors count
# COCO's. They train all but the ResNet's stem and first stage and its norms.
#   backbone          parameters, without norms   trained by the authors
#   "resnet50"        41,524,768                  41,302,368
#   "resnet101"       60,464,672                  60,242,272
#   "resnet50_dc5"    41,524,768                  41,302,368
#   "resnet101_dc5"   60,464,672                  60,242,272
BLOCKS = {
    "activation": "relu",
    "layer_norm_epsilon": 1e-5,
    "normalize_first": False,
}


def build_detr(
    num_classes,
    *,
    image_shape=(None, None, 3),
    backbone="resnet50",
    padding=None,
    queries="learned",
    num_queries=100,
    hidden_dim=256,
    num_heads=8,
    mlp_dim=2048,
    num_encoder_layers=6,
    num_decoder_layers=6,
    dropout=0.1,
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
    figures 2 and 10 and appendix A.4: a convolutional network makes a feature
    map, its pixels become tokens, an encoder relates them to each other, a
    decoder turns object queries into answers, and two small heads read from
    each answer a class and a box. The defaults are the paper's.

    Every stage is a named layer of a functional model, so the graph can be
    read, cut and wired anew:
    `keras.Model(detr.input, detr.get_layer("encoder").output)`.

    Args:
        num_classes: K, real classes only.
        image_shape: (height, width, channels); height and width may be None.
        backbone: "resnet50", "resnet101", "resnet50_dc5", "resnet101_dc5"
            (DC5: the last stage keeps 1/16 of the resolution), or any Keras
            model from images, (B, height, width, channels) normalized to mean
            0 and std 1, to one feature map (B, height', width',
            features), or to a list of them, the one for the encoder last.
        padding: How images of several sizes share a batch. None: they don't.
            Else the model has a second input, `padding_mask`, and attention
            and position encodings see real pixels only. "exact": the backbone
            doesn't see padding either, and an image has the same detections
            whatever it is padded to. "published": padding enters the backbone
            as zeros, as in the authors' code; detections near the lower and
            right edge change a little with it.
        queries: "learned", the paper's `ObjectQueries`; or "anchors",
            `AnchorQueries` and `AnchorDecoder` of its successors, which with
            `add_denoising` learn in half the steps (benchmarks/README.md).
        num_queries: Q, more than the most objects in an image.
        hidden_dim: Width D of the tokens, a multiple of 4 and of `num_heads`.
        num_heads: H.
        mlp_dim: Width of the feed-forward blocks' inner layer.
        num_encoder_layers: How many blocks the encoder has.
        num_decoder_layers: L, how many blocks the decoder has.
        dropout: Fraction dropped in training, of attention weights too.
        auxiliary_outputs: Whether the model also returns the answers of the
            decoder layers before the last one, which the loss supervises
            (section 3.2, "auxiliary decoding losses").
        masks: Whether a mask head draws a mask for each query (section 4.4,
            panoptic segmentation), from all of the backbone's feature maps.
        class_names: Optional K names, None for a class that isn't used; kept
            as `model.class_names` and saved with the model.
        pixel_mean: Mean of each channel in [0, 255], one number a channel or
            one for all. Default: ImageNet's.
        pixel_std: Standard deviation, likewise.
        name: Name of the model.
        **block_options: Of encoder and decoder: `normalize_first=True` for
            pre-norm, which starts to learn sooner than the paper's post-norm;
            `attention_dropout`, `activation`, `norm` or `layer_norm_epsilon`,
            `normalize_query_key`, `layer_scale`, `stochastic_depth`, as in
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
    ...     num_classes=3,
    ...     image_shape=(64, 96, 3),
    ...     backbone=keras_vtr.backbones.build_convolution_stem((64, 96, 3)),
    ...     num_queries=5,
    ...     hidden_dim=16,
    ...     num_heads=2,
    ...     mlp_dim=32,
    ...     num_encoder_layers=1,
    ...     num_decoder_layers=2,
    ... )
    >>> outputs = detr(keras.ops.ones((2, 64, 96, 3)))
    >>> print(tuple(outputs["logits"].shape), tuple(outputs["boxes"].shape))
    (2, 5, 4) (2, 5, 4)
    """
    _check_arguments(num_classes, hidden_dim, num_heads, padding, queries)
    inputs, pixels, mask = read_pixels(
        image_shape, padding, pixel_mean, pixel_std
    )
    feature_maps, mask = read_features(backbone, pixels, mask, padding)
    projection = keras.layers.Conv2D(
        hidden_dim, 1, data_format="channels_last", name="input_projection"
    )
    feature_map = projection(feature_maps[-1])  # (B, height', width', D)
    options = {"dropout": dropout, "attention_dropout": dropout}
    options |= {**BLOCKS, **block_options}
    options = block_arguments(num_heads, mlp_dim, **options)
    memory = _encode(feature_map, mask, num_encoder_layers, options)
    if queries == "anchors":
        centers = PixelCenters(name="centers")
        memory["centers"] = centers(feature_map, padding_mask=mask)
    answers = DECODERS[queries](
        memory, num_queries, num_decoder_layers, options
    )
    outputs = predict(*answers, num_classes, auxiliary_outputs)
    if masks:
        maps = [*feature_maps[:-1], feature_map]
        outputs["masks"] = draw_masks(
            num_heads, answers[0], memory["memory"], maps, mask
        )
    return with_names(DetectionModel(inputs, outputs, name=name), class_names)


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


def _encode(feature_map, mask, num_layers, options):
    """The feature map's pixels as tokens that know of each other.

    Returns:
        What the decoder reads, by its arguments' names.
    """
    hidden_dim = feature_map.shape[-1]
    positions = SinePositionEncoding2D(name="positions")
    positions = positions(feature_map, padding_mask=mask)  # (B, N, D)
    tokens = keras.layers.Reshape((-1, hidden_dim), name="tokens")(feature_map)
    if mask is not None:
        mask = keras.layers.Reshape((-1,), name="real_tokens")(mask)  # (B, N)
    block = TransformerEncoderBlock(**options)
    encoder = TransformerEncoder(block, num_layers, name="encoder")
    memory = encoder(tokens, positions=positions, padding_mask=mask)
    return {
        "memory": memory,
        "memory_positions": positions,
        "padding_mask": mask,
    }


def _decode(memory, num_queries, num_layers, options):
    """What each layer of the decoder answers to each query."""
    queries = ObjectQueries(num_queries, name="object_queries")
    queries = queries(memory["memory"])  # (B, Q, D)
    decoder = TransformerDecoder(
        TransformerDecoderBlock(**options),
        num_layers,
        norm=options["norm"],
        return_every_layer=True,
        name="decoder",
    )
    # A query is nothing but its position.
    nothing = keras.ops.zeros_like(queries)
    answers = decoder(nothing, query_positions=queries, **memory)
    return answers, read_boxes(answers)  # (B, L, Q, D), (B, L, Q, 4)


def _decode_anchors(memory, num_queries, num_layers, options):
    """The same, where a query is a box that each layer moves."""
    anchors = AnchorQueries(num_queries, name="object_queries")
    anchors = anchors(memory["memory"])  # (B, Q, 4)
    block = TransformerDecoderBlock(**options)
    decoder = AnchorDecoder(
        block, num_layers, norm=options["norm"], name="decoder"
    )
    hidden_dim = memory["memory"].shape[-1]
    nothing = keras.ops.repeat(
        keras.ops.zeros_like(anchors[..., :1]), hidden_dim, axis=-1
    )
    return decoder(nothing, anchors, **memory)


DECODERS = {"learned": _decode, "anchors": _decode_anchors}
