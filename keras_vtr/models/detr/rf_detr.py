import keras

from keras_vtr.backbones import build_vit_backbone
from keras_vtr.backbones.vit import normalization_of
from keras_vtr.classifiers import SIGMOID
from keras_vtr.layers import C2fProjection
from keras_vtr.layers import DeformableAttention
from keras_vtr.layers import MaskEmbeddingHead
from keras_vtr.layers import RelativeRefinement
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.detr.anchors import add_centers
from keras_vtr.models.detr.anchors import decode_anchors
from keras_vtr.models.detr.anchors import select_anchors
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.features import read_images
from keras_vtr.models.detr.heads import classify
from keras_vtr.models.detr.heads import draw_masks
from keras_vtr.models.detr.heads import name_outputs
from keras_vtr.models.detr.rf_detr_sizes import options_of
from keras_vtr.models.named_model import with_names
from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.vit.vit import build_vit
from keras_vtr.stages import DETR

EPSILON = 1e-5  # of the decoder's norms, torch's default


def build_rf_detr(
    num_classes,
    *,
    size="nano",
    image_shape=None,
    vit=None,
    num_windows=None,
    feature_blocks=None,
    global_blocks=None,
    projection=None,
    num_queries=None,
    num_decoder_layers=None,
    hidden_dim=256,
    num_heads=8,
    num_points=2,
    mlp_dim=2048,
    dropout=0.0,
    masks=None,
    class_names=None,
    name="rf_detr",
):
    """Builds an RF-DETR: a windowed ViT, and a light decoder without encoder.

    Robinson et al. 2025, "RF-DETR: Neural Architecture Search for Real-Time
    Detection Transformers", and the authors' code, on LW-DETR (Chen et al.
    2024): a DINOv2 reads the image in windows, features of four blocks are
    projected to one map, the tokens of that map propose boxes, and the decoder
    attends to a few points around each of the best ones
    (`DeformableAttention`). All decoder layers start from the same boxes.

    Its stages are those of `build_detr`, so that training, decoding, metrics
    and export are the same. `keras_vtr.models.add_groups` adds the further
    groups of queries of its training, `keras_vtr.training.compile_rf_detr` does
    the rest of it.

    Args:
        num_classes: K, real classes only.
        size: "nano", "small", "medium", "large" or "base", or of a model with
            masks "seg_nano", "seg_small", "seg_medium", "seg_large",
            "seg_xlarge" or "seg_2xlarge". What is None below is the size's.
        image_shape: (height, width, channels), multiples of the patch size;
            height and width may be None.
        vit: A ViT from `build_vit` or `from_pretrained`, such as a DINOv2, of
            whose weights the backbone has copies. Default: a new one.
        num_windows: How many windows there are in each row and column; patches
            are best a multiple, since else the last windows are smaller, which
            the authors' model refuses.
        feature_blocks: Numbers of the ViT's blocks, from 0, whose features are
            concatenated.
        global_blocks: Numbers of the blocks that see all windows.
        projection: A layer from these features to D channels. Default:
            `C2fProjection`.
        num_queries: Q, more than the most objects in an image.
        num_decoder_layers: L.
        hidden_dim: Width D of the decoder's tokens, a multiple of 4 and of
            twice `num_heads`.
        num_heads: Of self attention; the attention to points has twice as many.
        num_points: P of each of its heads.
        mlp_dim: Inner width of the feed-forward networks.
        dropout: Fraction dropped in training in the decoder.
        masks: A mask head as in `build_detr`, True for the authors', a
            `MaskEmbeddingHead` with masks of a quarter of the image's size, or
            False.
        class_names: As in `build_detr`.
        name: Name of the model.

    Returns:
        A `keras_vtr.models.DetectionModel` as of `build_detr` with
        `size="modern"`: `"sigmoid_logits"` (B, Q, K), `"boxes"` (B, Q, 4),
        `"reference_boxes"`, with masks `"masks"`, and those of the layers
        before the last one with the prefix `auxiliary_`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     0, size="tiny", image_shape=(64, 64, 3), num_layers=2
    ... )
    >>> model = keras_vtr.models.build_rf_detr(
    ...     3,
    ...     vit=vit,
    ...     image_shape=(64, 64, 3),
    ...     feature_blocks=(0, 1),
    ...     global_blocks=(1,),
    ...     num_queries=5,
    ... )
    >>> print(tuple(model(keras.ops.ones((2, 64, 64, 3)))["boxes"].shape))
    (2, 5, 4)
    """
    given = {
        "num_windows": num_windows,
        "feature_blocks": feature_blocks,
        "global_blocks": global_blocks,
        "num_queries": num_queries,
        "num_decoder_layers": num_decoder_layers,
        "masks": masks,
    }
    options = options_of(size, given)
    image_shape = image_shape or (options["image_side"],) * 2 + (3,)
    vit = _new_vit(image_shape, options) if vit is None else vit
    windows = ("feature_blocks", "num_windows", "global_blocks")
    backbone = build_vit_backbone(
        vit,
        image_shape,
        **{key: options[key] for key in windows},
        pads_images=False,  # which would move the boxes
        name="backbone",
    )
    pixels = normalization_of(vit) or (0.0, 1.0)
    images, feature_maps, _ = read_images(image_shape, backbone, None, *pixels)
    if projection is None:
        projection = C2fProjection(hidden_dim, name=DETR.INPUT_PROJECTION)
    feature_map = projection(feature_maps[-1])  # (B, height', width', D)
    tokens = keras.layers.Reshape((-1, hidden_dim), name=DETR.TOKENS)
    encoder = keras.layers.Identity(name=DETR.ENCODER)  # the ViT is one
    memory = {"memory": encoder(tokens(feature_map)), "padding_mask": None}
    memory = add_centers(memory, feature_map, None)
    refinement = RelativeRefinement()
    selection = (options["num_queries"], num_classes, "sigmoid", refinement)
    contents, anchors, proposals = select_anchors(
        memory, *selection, margin=0.01, learned_moves=True
    )
    block = block_arguments(
        num_heads,
        mlp_dim,
        dropout=dropout,
        activation="relu",
        layer_norm_epsilon=EPSILON,
        normalize_first=False,
    )
    block["cross_attention"] = DeformableAttention(2 * num_heads, num_points)
    boxes = {"box_refinement": refinement, "iterative_refinement": False}
    answers, layers = decode_anchors(
        memory, contents, anchors, options["num_decoder_layers"], block, boxes
    )
    layers = {SIGMOID.key: classify(answers, num_classes, SIGMOID), **layers}
    outputs = name_outputs(layers, proposals, auxiliary_outputs=True)
    head = _mask_head(vit) if options["masks"] is True else options["masks"]
    if head:
        maps = [feature_map]
        outputs |= draw_masks(head, answers, memory["memory"], maps, None)
    model = DetectionModel(images, outputs, name=name)
    return with_names(model, class_names)


def _new_vit(image_shape, options):
    """DINOv2's ViT-S, with the positions of images of the size's side."""
    patch_size = options["patch_size"]
    side = options["image_side"] // patch_size
    is_free = None in image_shape[:2]
    return build_vit(
        0,
        size="small",
        patch_size=patch_size,
        image_shape=image_shape,
        position_grid=(side, side) if is_free else None,
        position_interpolation="bicubic_antialias",
        layer_scale=1.0,
        pixel_mean=IMAGENET_MEAN,
        pixel_std=IMAGENET_STD,
    )


def _mask_head(vit):
    patch_size = vit.get_layer("patches").patch_size
    if patch_size % 4:
        raise ValueError(
            "`masks=True` needs a ViT whose patch size is a multiple of 4; "
            "give a MaskEmbeddingHead with its own `upsampling`. Received: "
            f"patches of {patch_size} pixels"
        )
    return MaskEmbeddingHead(upsampling=patch_size // 4)
