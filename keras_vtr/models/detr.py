import keras

from keras_vtr.backbones import build_convolution_stem
from keras_vtr.layers import ObjectQueries
from keras_vtr.layers import SinePositionEncoding2D
from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerEncoder
from keras_vtr.models.detection_model import DetectionModel
from keras_vtr.models.pixels import IMAGENET_DEVIATION
from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels


def build_detr(
    num_classes,
    *,
    image_shape=(None, None, 3),
    backbone=None,
    num_queries=100,
    hidden_dim=256,
    num_heads=8,
    mlp_dim=2048,
    num_encoder_layers=6,
    num_decoder_layers=6,
    dropout=0.1,
    normalize_first=False,
    auxiliary_outputs=True,
    pixel_mean=None,
    pixel_deviation=None,
    name="detr",
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
        backbone: A Keras model from images, (B, height, width, channels)
            normalized to mean 0 and deviation 1, to one feature map
            (B, height', width', features). Default: a new
            `keras_vtr.backbones.build_convolution_stem`.
        num_queries: Q, more than the most objects in an image.
        hidden_dim: Width D of the tokens, a multiple of 4 and of `num_heads`.
        num_heads: H.
        mlp_dim: Width of the feed-forward blocks' inner layer.
        num_encoder_layers: How many blocks the encoder has.
        num_decoder_layers: L, how many blocks the decoder has.
        dropout: Fraction dropped in training, of attention weights too.
        normalize_first: True for pre-norm, which starts to learn sooner;
            False for the paper's post-norm.
        auxiliary_outputs: Whether the model also returns the answers of the
            decoder layers before the last one, which the loss supervises
            (section 3.2, "auxiliary decoding losses").
        pixel_mean: Mean of each channel in [0, 255], one number a channel or
            one for all. Default: ImageNet's.
        pixel_deviation: Standard deviation, likewise.
        name: Name of the model.

    Returns:
        A `keras_vtr.models.DetectionModel` from pixels in [0, 255],
        (B, height, width, channels), to a dict of float32: `"logits"`
        (B, Q, K + 1), the last one "no object", and `"boxes"` (B, Q, 4),
        `rel_center_xywh`; with `auxiliary_outputs` and L > 1 also
        `"auxiliary_logits"` (B, L - 1, Q, K + 1) and `"auxiliary_boxes"`
        (B, L - 1, Q, 4).

    Raises:
        ValueError: If an argument is out of its range, or the backbone
            doesn't fit the images or gives no feature map.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3,
    ...     image_shape=(64, 96, 3),
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
    _check_arguments(num_classes, hidden_dim, num_heads)
    images = image_input(image_shape)
    pixels = _pixels(images, pixel_mean, pixel_deviation)
    tokens, positions = _tokens(_feature_map(backbone, pixels), hidden_dim)
    options = {
        "num_heads": num_heads,
        "mlp_dim": mlp_dim,
        "dropout": dropout,
        "attention_dropout": dropout,
        "activation": "relu",
        "normalize_first": normalize_first,
        "layer_norm_epsilon": 1e-5,
    }
    encoder = TransformerEncoder(num_encoder_layers, **options, name="encoder")
    memory = encoder(tokens, positions=positions)  # (B, N, D)
    queries = ObjectQueries(num_queries, name="object_queries")(memory)
    decoder = TransformerDecoder(
        num_decoder_layers,
        return_every_layer=True,
        normalize_output=True,
        **options,
        name="decoder",
    )
    answers = decoder(
        keras.ops.zeros_like(queries),  # a query is nothing but its position
        memory,
        query_positions=queries,
        memory_positions=positions,
    )  # (B, L, Q, D)
    outputs = _heads(answers, num_classes, auxiliary_outputs)
    return DetectionModel(images, outputs, name=name)


def _check_arguments(num_classes, hidden_dim, num_heads):
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


def _pixels(images, mean, deviation):
    num_channels = images.shape[-1]
    if mean is None and deviation is None and num_channels == 3:
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    if mean is None or deviation is None:
        raise ValueError(
            "`pixel_mean` and `pixel_deviation` must both be given; only for "
            "color images is there a default. Received: "
            f"pixel_mean={mean}, pixel_deviation={deviation}, "
            f"{num_channels} channels"
        )
    return normalize_pixels(images, mean, deviation)


def _feature_map(backbone, pixels):
    if backbone is None:
        backbone = build_convolution_stem(pixels.shape[1:])
    feature_map = backbone(pixels)
    shape = getattr(feature_map, "shape", None)
    if shape is None or len(shape) != 4:
        raise ValueError(
            "`backbone` must map images to one feature map (B, height, width, "
            f"features). Received: an output of shape {shape} from "
            f"{backbone!r}"
        )
    return feature_map


def _tokens(feature_map, hidden_dim):
    """Each pixel of the feature map as a token, and where it is."""
    feature_map = keras.layers.Conv2D(
        hidden_dim, kernel_size=1, name="input_projection"
    )(feature_map)  # (B, height', width', D)
    positions = SinePositionEncoding2D(name="positions")(feature_map)
    tokens = keras.layers.Reshape((-1, hidden_dim), name="tokens")(feature_map)
    return tokens, positions  # (B, N, D)


def _heads(answers, num_classes, auxiliary_outputs):
    """The same two heads on every layer's answers; the last layer's lead.

    Always in float32: a box of a photograph needs more than float16's digits.
    """
    logits = keras.layers.Dense(
        num_classes + 1, dtype="float32", name="class_head"
    )(answers)  # (B, L, Q, K + 1)
    boxes = answers
    for i in range(2):
        boxes = keras.layers.Dense(
            answers.shape[-1], activation="relu", name=f"box_head_{i}"
        )(boxes)
    boxes = keras.layers.Dense(
        4, activation="sigmoid", dtype="float32", name="box_head_2"
    )(boxes)  # (B, L, Q, 4)
    outputs = {"logits": logits[:, -1], "boxes": boxes[:, -1]}
    if auxiliary_outputs and answers.shape[1] > 1:
        outputs["auxiliary_logits"] = logits[:, :-1]
        outputs["auxiliary_boxes"] = boxes[:, :-1]
    return outputs
