import keras

from keras_vtr.backbones.vit import is_vit
from keras_vtr.backbones.vit import normalization_of
from keras_vtr.backbones.vit_copy import ViTCopy
from keras_vtr.functional_models import as_functional
from keras_vtr.layers import ClassHead
from keras_vtr.layers import MaskQueryEncoder
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.named_model import with_names
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels
from keras_vtr.stages import DETR
from keras_vtr.stages import ViT
from keras_vtr.strict_model import StrictModel

MASK_STRIDE = 4


def build_eomt(
    num_classes,
    vit,
    *,
    image_shape=None,
    num_queries=200,
    num_query_blocks=4,
    mask_stride=None,
    mask_steps=None,
    class_names=None,
    name="eomt",
):
    """Builds a segmenter from a ViT: images in, classes and masks out.

    Kerssies et al. 2025, "Your ViT is Secretly an Image Segmentation Model":
    learned queries join the tokens in the last blocks of the ViT, two small
    heads read a class and a mask from each, and there is no decoder. The
    authors' ViTs are DINOv2's. Train it with `keras_vtr.losses.eomt_terms`;
    `keras_vtr.detections` decodes its outputs as those of a detector whose
    boxes are the extents of the masks.

    Args:
        num_classes: K, real classes only.
        vit: From `build_vit` or `from_pretrained`, of which it takes a copy,
            without its head.
        image_shape: (height, width, channels), multiples of the patch size.
            Default: the ViT's.
        num_queries: Q, more than the most objects in an image.
        num_query_blocks: How many blocks see the queries; the authors have 3
            of 12 and 4 of 24.
        mask_stride: Pixels of the image to one of a mask, along each axis: the
            ViT's patch size, or a half, a quarter ... of it. Default: 4, the
            authors', or the next larger one.
        mask_steps: Steps of the training, in which masked attention is annealed
            away (section 3.3), as in `MaskQueryEncoder`. Default: none.
        class_names: Optional K names.
        name: Name of the model.

    Returns:
        A `keras_vtr.models.DetectionModel` from pixels in [0, 255], (B, height,
        width, channels), to a dict of float32: `"logits"` (B, Q, K + 1), the
        last one "no object", `"masks"` (B, Q, height / mask_stride, width /
        mask_stride) logits, and those before each of the L query blocks,
        `"auxiliary_logits"` and `"auxiliary_masks"` (B, L, Q, ...).

    Raises:
        ValueError: If `vit` is no ViT, or has relative or rotary positions, or
            an argument is out of its range.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     0, size="tiny", image_shape=(64, 96, 3), num_layers=2
    ... )
    >>> eomt = keras_vtr.models.build_eomt(
    ...     3, vit, num_queries=7, num_query_blocks=1
    ... )
    >>> outputs = eomt(keras.ops.ones((1, 64, 96, 3)))
    >>> print(tuple(outputs["logits"].shape), tuple(outputs["masks"].shape))
    (1, 7, 4) (1, 7, 16, 24)
    """
    check_positive_int("num_classes", num_classes)
    if not is_vit(vit):
        raise ValueError(
            "`vit` must be a functional model with layers named "
            f"{ViT.PATCHES!r} and {ViT.ENCODER!r}, such as build_vit returns. "
            f"Received: vit={vit!r}"
        )
    vit = as_functional(vit)
    image_shape = image_shape or tuple(vit.inputs[0].shape[1:])
    patch_size = vit.get_layer(ViT.PATCHES).patch_size
    options = {
        "num_queries": num_queries,
        "num_query_blocks": num_query_blocks,
        "upsampling": _upsampling(patch_size, mask_stride),
        "mask_steps": mask_steps,
    }
    images = image_input(image_shape)
    inside = keras.Input(image_shape, name="images")
    copy = ViTCopy(vit, None, MaskQueryEncoder, options, "vit")
    encoder = StrictModel(inside, copy.feature_map(inside), name="vit")
    pixels = images
    normalization = normalization_of(vit)
    if normalization is not None:
        pixels = normalize_pixels(images, *normalization)
    class_head = ClassHead(
        num_classes + 1, dtype="float32", name=DETR.CLASS_HEAD
    )
    in_float32 = keras.layers.Activation(
        "linear", dtype="float32", name=DETR.MASKS
    )
    answers, masks, earlier_answers, earlier_masks = encoder(pixels)
    outputs = {
        "logits": class_head(answers),
        "masks": in_float32(masks),
        "auxiliary_logits": class_head(earlier_answers),
        "auxiliary_masks": in_float32(earlier_masks),
    }
    return with_names(DetectionModel(images, outputs, name=name), class_names)


def _upsampling(patch_size, mask_stride):
    """How many times finer than the patches the masks are."""
    strides = [patch_size]
    while strides[-1] % 2 == 0:
        strides.append(strides[-1] // 2)
    if mask_stride is None:
        fine = [x for x in strides if x >= MASK_STRIDE]
        mask_stride = min(fine, default=patch_size)
    if mask_stride not in strides:
        raise ValueError(
            f"`mask_stride` must be one of {strides}, the ViT's patch size "
            f"halved. Received: mask_stride={mask_stride}"
        )
    return patch_size // mask_stride
