import keras

from keras_vtr.backbones.vit import check_sees_no_padding
from keras_vtr.backbones.vit import is_vit
from keras_vtr.backbones.vit import normalization_of
from keras_vtr.backbones.vit_copy import ViTCopy
from keras_vtr.functional_models import as_functional
from keras_vtr.layers import ClassHead
from keras_vtr.layers import DetectionTokenEncoder
from keras_vtr.layers import PixelCenters
from keras_vtr.layers import PositionEmbedding
from keras_vtr.layers import RelativePositionBias
from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.heads import read_boxes
from keras_vtr.models.named_model import with_names
from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels
from keras_vtr.models.vit.vit import build_vit
from keras_vtr.stages import YOLOS
from keras_vtr.stages import ViT
from keras_vtr.strict_model import StrictModel

# Fang et al. 2021, tables 1 and 2; the grids of patches of 16 are those of
# their published weights, for images of 800 x 1333, 512 x 864 and 800 x 1344.
# Parameters with 91 slots of classes and 100 queries, whose own positions are
# no parameters here: 6,469,536; 30,646,368; 127,721,568 (the authors': 6.5 M,
# 30.7 M, 127 M).
SIZES = {  # grid of positions, and whether there are some between the blocks
    "tiny": ((50, 83), False),
    "small": ((32, 54), True),
    "base": ((50, 84), True),
}
PATCH_SIZE = 16


def build_yolos(
    num_classes,
    vit="tiny",
    *,
    image_shape=None,
    padding=None,
    num_queries=100,
    positions_between_blocks=None,
    class_names=None,
    name="yolos",
):
    """Builds a detector from a ViT alone: images in, classes and boxes out.

    Fang et al. 2021, "You Only Look at One Sequence", section 3.1: learned
    queries, the detection tokens, join the tokens of the patches, and two small
    heads read a class and a box from each. Everything else is the ViT, and the
    loss is DETR's. Train it with `keras_vtr.training.compile_detr` or with any
    optimizer and `keras_vtr.losses.HungarianLoss()`.

    Args:
        num_classes: K, real classes only.
        vit: From `build_vit` or `from_pretrained`, of which it takes a copy,
            without its head; or "tiny", "small" or "base", the authors' ViTs,
            at random.
        image_shape: (height, width, channels); height and width may be None.
            Default: the ViT's; those of the sizes read images of any size.
            Images are padded with zeros to multiples of the patch size, and
            positions are resized to them.
        padding: How images of several sizes share a batch. None: they don't.
            "exact": the model has a second input, `padding_mask`; attention
            sees real patches only, and positions are those of the image
            without padding, so that its detections don't depend on it.
        num_queries: Q, more than the most objects in an image.
        positions_between_blocks: Whether positions are also added after each
            block but the last. Default: as the size has it; with a ViT of your
            own, no.
        class_names: Optional K names.
        name: Name of the model.

    Returns:
        A `keras_vtr.models.DetectionModel` from pixels in [0, 255], (B, height,
        width, channels), or with `padding` from a dict of them, `"images"`, and
        `"padding_mask"` (B, height, width) bool, True = real, to a dict of
        float32: `"logits"` (B, Q, K + 1), the last one "no object", and
        `"boxes"` (B, Q, 4), `rel_center_xywh`.

    Raises:
        ValueError: If `vit` is no ViT, or has relative or rotary positions, or
            an argument is out of its range.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     0, size="tiny", image_shape=(64, 96, 3), num_layers=2
    ... )
    >>> yolos = keras_vtr.models.build_yolos(3, vit, num_queries=5)
    >>> outputs = yolos(keras.ops.ones((2, 64, 96, 3)))
    >>> print(tuple(outputs["logits"].shape), tuple(outputs["boxes"].shape))
    (2, 5, 4) (2, 5, 4)
    """
    check_positive_int("num_classes", num_classes)
    if padding is not None:
        check_choice("padding", padding, ["exact"])
    if isinstance(vit, str):
        check_choice("vit", vit, list(SIZES))
        if positions_between_blocks is None:
            positions_between_blocks = SIZES[vit][1]
        vit = _build_vit_of(vit)
    _check_vit(vit)
    vit = as_functional(vit)
    image_shape = image_shape or tuple(vit.inputs[0].shape[1:])
    options = {"num_queries": num_queries}
    if positions_between_blocks:
        options |= _positions_of(vit)
    images = image_input(image_shape)
    pixels, normalization = images, normalization_of(vit)
    if normalization is not None:
        pixels = normalize_pixels(images, *normalization)
    inputs, given, mask = images, pixels, None
    inside = {"images": keras.Input(image_shape, name="images")}
    if padding is not None:
        check_sees_no_padding(vit)
        mask, inside["padding_mask"] = (
            keras.Input(image_shape[:2], dtype="bool", name=YOLOS.PADDING_MASK)
            for _ in range(2)
        )
        inputs = {"images": images, "padding_mask": mask}
        given = {"images": pixels, "padding_mask": mask}
    copy = ViTCopy(
        vit,
        inside.get("padding_mask"),
        DetectionTokenEncoder,
        options,
        YOLOS.VIT,
    )
    answers = copy.feature_map(inside["images"])  # (B, Q, D)
    inside = inside if padding else inside["images"]
    answers = StrictModel(inside, answers, name=YOLOS.VIT)(given)
    outputs = {
        "logits": _classify(answers, num_classes),
        "boxes": read_boxes(answers),
    }
    return with_names(DetectionModel(inputs, outputs, name=name), class_names)


def _build_vit_of(size):
    return build_vit(
        0,
        size=size,
        patch_size=PATCH_SIZE,
        image_shape=(None, None, 3),
        position_grid=SIZES[size][0],
        position_interpolation="bicubic",
        pixel_mean=IMAGENET_MEAN,
        pixel_std=IMAGENET_STD,
        layer_norm_epsilon=1e-12,
    )


def _check_vit(vit):
    if not is_vit(vit):
        raise ValueError(
            "`vit` must be one of "
            f"{list(SIZES)}, or a functional model with layers named "
            f"{ViT.PATCHES!r} and {ViT.ENCODER!r}, such as build_vit returns. "
            f"Received: vit={vit!r}"
        )
    names = {x.name: x for x in vit.layers}
    positions = names.get(ViT.POSITIONS)
    if isinstance(positions, (PixelCenters, RelativePositionBias)):
        raise ValueError(
            "`vit` must have positions that are added to its tokens, since the "
            "queries have no place in the image. Received: "
            f"{vit.name!r} with a {type(positions).__name__}"
        )


def _positions_of(vit):
    """What the tables between the blocks have in common with the first one."""
    layer = next((x for x in vit.layers if x.name == ViT.POSITIONS), None)
    if not isinstance(layer, PositionEmbedding):
        raise ValueError(
            "`positions_between_blocks` needs a ViT with positions learned in "
            "raster order, position='learned_1d', of whose size the further "
            f"tables are. Received: {vit.name!r} with {layer!r}"
        )
    return {"position_grid": layer.grid, "interpolation": layer.interpolation}


def _classify(answers, num_classes):
    """(B, Q, D) -> (B, Q, K + 1), by the authors' head of three layers."""
    for name in (YOLOS.CLASS_HEAD_0, YOLOS.CLASS_HEAD_1):
        answers = keras.layers.Dense(
            answers.shape[-1], activation="relu", name=name
        )(answers)
    return ClassHead(num_classes + 1, dtype="float32", name=YOLOS.CLASS_HEAD)(
        answers
    )
