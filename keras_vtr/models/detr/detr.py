import keras

from keras_vtr.classifiers import CLASSIFIERS
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.detr.anchors import add_centers
from keras_vtr.models.detr.anchors import decode_anchors
from keras_vtr.models.detr.anchors import learn_anchors
from keras_vtr.models.detr.anchors import select_anchors
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.features import read_images
from keras_vtr.models.detr.heads import classify
from keras_vtr.models.detr.heads import draw_masks
from keras_vtr.models.detr.heads import name_outputs
from keras_vtr.models.detr.settings import check_choices
from keras_vtr.models.detr.settings import check_numbers
from keras_vtr.models.detr.settings import mask_head_of
from keras_vtr.models.detr.settings import with_size
from keras_vtr.models.detr.transformer import decode
from keras_vtr.models.detr.transformer import encode
from keras_vtr.models.named_model import with_names
from keras_vtr.stages import DETR


def build_detr(
    num_classes,
    *,
    size="base",
    image_shape=(None, None, 3),
    backbone=None,
    padding=None,
    queries=None,
    num_queries=None,
    hidden_dim=None,
    num_encoder_layers=None,
    num_decoder_layers=None,
    classifier=None,
    attention_bias=None,
    box_refinement=None,
    look_forward_twice=None,
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
            learning; or "modern" (for a ViT as `backbone`) or "modern_small",
            of today's parts, which learn in far fewer steps: a sigmoid, queries
            selected by the image, a `BoxPositionBias`, `RelativeRefinement` and
            `look_forward_twice`. What is None below is the size's.
        image_shape: (height, width, channels); height and width may be None,
            with a ViT and without `padding` for multiples of its patch size.
        backbone: "resnet18", "resnet34", "resnet50", "resnet101",
            "resnet50_dc5", "resnet101_dc5" (DC5: the last stage keeps 1/16 of
            the resolution) or "convolution_stem"; a ViT from `build_vit` or
            `from_pretrained`, of which `keras_vtr.backbones.build_vit_backbone`
            takes a copy; or any Keras model from normalized images, (B, height,
            width, channels), to one feature map (B, height', width', features),
            or to a list of them, the one for the encoder last.
        padding: How images of several sizes share a batch. None: they don't.
            Otherwise the model has a second input, `padding_mask`, and
            attention and position encodings use real pixels only. "exact": the
            backbone ignores padding, too, and the detections of an image don't
            depend on it. "published": padding enters the backbone as zeros, as
            in the authors' code, and changes detections near the lower and
            right edge a little; with a ViT, which attends to it, all of them.
        queries: "learned", the paper's `ObjectQueries`; "anchors",
            `AnchorQueries` and `AnchorDecoder` of its successors, which with
            `add_denoising` learn in half the steps (benchmarks/README.md); or
            "selected", the same with anchors from `QuerySelection`, so that
            the image says where to look.
        num_queries: Q, more than the most objects in an image.
        hidden_dim: Width D of the tokens, a multiple of 4 and of `num_heads`.
        num_encoder_layers: How many blocks the encoder has; 0 for a backbone
            that is an encoder itself.
        num_decoder_layers: L, how many blocks the decoder has.
        classifier: "softmax", the paper's, K + 1 logits with "no object"; or
            "sigmoid", K logits, for `keras_vtr.losses.sigmoid_terms`.
        attention_bias: Of anchors: as in `AnchorDecoder`.
        box_refinement: Of anchors: likewise, and in `QuerySelection`.
        look_forward_twice: Of anchors: as in `AnchorDecoder`.
        auxiliary_outputs: Whether the model also returns the answers of the
            decoder layers before the last one, for the loss (section 3.2,
            "auxiliary decoding losses").
        masks: A mask head, which predicts a mask for each query from all of
            the backbone's feature maps: a `MaskHead`, the paper's (section
            4.4, panoptic segmentation), a `MaskEmbeddingHead`, which costs far
            less, or a layer of your own with their call arguments. True is the
            paper's for the size "base", and the other one else.
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
        object", or of a sigmoid `"sigmoid_logits"` (B, Q, K); `"boxes"`
        (B, Q, 4), `rel_center_xywh`; for anchors `"reference_boxes"` (B, Q, 4),
        which the last layer started from; with `masks` also `"masks"`
        (B, Q, height', width') logits, as fine as the finest feature map; and
        with `auxiliary_outputs` the same of the L - 1 layers before, and first
        of them of the selection, with the prefix `auxiliary_`, (B, L - 1, Q,
        ...) or (B, L, Q, ...); masks only of layers that the head draws.

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
        "queries": queries,
        "classifier": classifier,
    }
    box_options = {
        "attention_bias": attention_bias,
        "box_refinement": box_refinement,
        "look_forward_twice": look_forward_twice,
    }
    options = with_size(size, {**given, **box_options}, block_options)
    box_options = {key: options.pop(key) for key in box_options}
    backbone, num_queries, hidden_dim, *depths, queries, classifier = (
        options.pop(key) for key in given
    )
    num_heads = options["num_heads"]
    check_numbers(num_classes, hidden_dim, num_heads)
    check_choices(padding, classifier, queries, auxiliary_outputs, masks)
    inputs, feature_maps, padding_mask = read_images(
        image_shape, backbone, padding, pixel_mean, pixel_std, bool(masks)
    )
    projection = keras.layers.Conv2D(
        hidden_dim, 1, data_format="channels_last", name=DETR.INPUT_PROJECTION
    )
    feature_map = projection(feature_maps[-1])  # (B, height', width', D)
    options = block_arguments(**options)
    memory = encode(feature_map, padding_mask, depths[0], options)
    kind = CLASSIFIERS[classifier]
    proposals = None
    if queries == "learned":
        answers, layers = decode(memory, num_queries, depths[1], options)
    else:
        memory = add_centers(memory, feature_map, padding_mask)
        if queries == "anchors":
            contents, anchors = learn_anchors(memory, num_queries)
        else:
            refinement = box_options["box_refinement"]
            contents, anchors, proposals = select_anchors(
                memory, num_queries, num_classes, classifier, refinement
            )
        answers, layers = decode_anchors(
            memory, contents, anchors, depths[1], options, box_options
        )
    layers = {kind.key: classify(answers, num_classes, kind), **layers}
    outputs = name_outputs(layers, proposals, auxiliary_outputs)
    if masks:
        head = mask_head_of(size, num_heads) if masks is True else masks
        maps = [*feature_maps[:-1], feature_map]
        drawn = draw_masks(head, answers, memory["memory"], maps, padding_mask)
        outputs |= drawn if auxiliary_outputs else {"masks": drawn["masks"]}
    return with_names(DetectionModel(inputs, outputs, name=name), class_names)
