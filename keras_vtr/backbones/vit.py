import inspect

import keras
import numpy as np

from keras_vtr.backbones.vit_copy import ViTCopy
from keras_vtr.backbones.vit_copy import is_cut_from_images
from keras_vtr.functional_models import as_functional
from keras_vtr.functional_models import is_graph
from keras_vtr.layers import FeatureMapEncoder
from keras_vtr.layers import FeaturePyramid
from keras_vtr.layers import PatchGrid
from keras_vtr.layers.convolution.feature_pyramid import check_scales
from keras_vtr.stages import ViT
from keras_vtr.strict_model import StrictModel


def build_vit_backbone(
    vit,
    image_shape=None,
    *,
    padding_mask=False,
    feature_blocks=None,
    window_size=None,
    num_windows=None,
    global_blocks=None,
    scales=(1,),
    pads_images=True,
    name="vit",
):
    """Builds a backbone from a ViT: everything from patches to encoder.

    Li et al. 2022 (ViTDet), section 3: the last feature map of a plain ViT is
    all that a detector needs; large images are read in windows, and other sizes
    of the map are made of it. Class tokens and registers take part in attention
    and are cut off behind it. Images of any size are padded with zeros to
    multiples of the patch size, if patches are cut from images. The weights
    are copies, and all of them are trainable. `build_detr` takes the backbone
    with the `pixel_mean` and `pixel_std` that the ViT was trained with.

    RF-DETR (Robinson et al. 2025) has patches of 16 and
    `feature_blocks=(2, 5, 8, 11), num_windows=2, global_blocks=(3, 6, 9)`.

    Args:
        vit: From `keras_vtr.models.build_vit` or
            `keras_vtr.pretrained.from_pretrained`, or a functional model whose
            layers have the names of `keras_vtr.stages.ViT`.
        image_shape: (height, width, channels) of the images; height and width
            may be None. Default: (None, None, channels of the ViT's images).
        padding_mask: Whether the backbone has a second input, `padding_mask`
            (B, height, width) bool, True = real. Then attention sees real
            patches only, and positions are those of the image without padding,
            so that an image has the same features however much it is padded.
        feature_blocks: Numbers of the encoder's blocks, from 0, whose features
            are concatenated, each after the final norm. Default: the last.
        window_size: Side of the windows in patches, or (height, width), to
            which attention is limited in most blocks. Default: none is.
        num_windows: Instead of a size, how many windows there are in each
            column and in each row, or (in columns, in rows).
        global_blocks: Numbers of the blocks that see the complete image all the
            same. Default: the last block of each quarter of the blocks.
        scales: Sizes of the maps in sizes of the ViT's, in descending order, as
            in `FeaturePyramid`. With patches of 16, (2, 1) gives maps of 1/8
            and 1/16 of the image's size, and (2,) that of 1/8 alone.
        pads_images: Whether images are padded to multiples of the patch size;
            else others are refused.
        name: Name of the model, and with "_" the beginning of its layers'.

    Returns:
        A functional model of images (B, height, width, channels), normalized
        as the ViT does it, to a feature map (B, height / patch size, width /
        patch size, D), rounded up; with several `scales`, to a list of maps.
        With `padding_mask`, from a dict of `images` and `padding_mask` to a
        dict of `feature_maps`, a list, and `padding_mask`, that of the last
        map.

    Raises:
        ValueError: If an argument is out of its range; if the model is no ViT,
            has another normalization of pixels than a Rescaling named
            "normalize_pixels", is quantized or has other channels than
            `image_shape`; with `padding_mask`, if it has a convolutional
            backbone or relative positions, which see padding; with windows, if
            it has relative positions.

    Example:

    >>> vit = keras_vtr.models.build_vit(0, size="tiny", num_layers=1)
    >>> backbone = keras_vtr.backbones.build_vit_backbone(vit, (96, 64, 3))
    >>> print(backbone.output_shape)
    (None, 6, 4, 192)
    """
    if not is_vit(vit):
        raise ValueError(
            "`vit` must be a functional model with layers named "
            f"{ViT.PATCHES!r} and {ViT.ENCODER!r}, such as "
            f"build_vit returns. Received: vit={vit!r}"
        )
    vit = as_functional(vit)
    check_scales(scales)
    _check_pixels(vit, image_shape)
    if padding_mask:
        check_sees_no_padding(vit)
    if image_shape is None:
        image_shape = (None, None, vit.inputs[0].shape[-1])
    inputs = {"images": keras.Input(image_shape, name="images")}
    if padding_mask:
        inputs["padding_mask"] = keras.Input(
            image_shape[:2], dtype="bool", name="padding_mask"
        )
    encoder_options = {
        "feature_blocks": feature_blocks,
        "window_size": window_size,
        "num_windows": num_windows,
        "global_blocks": global_blocks,
    }
    is_replaced = any(x is not None for x in encoder_options.values())
    copy = ViTCopy(
        vit,
        inputs.get("padding_mask"),
        FeatureMapEncoder if is_replaced else None,
        encoder_options,
        name,
        pads_images,
    )
    maps = [copy.feature_map(inputs["images"])]
    if tuple(scales) != (1,):
        pyramid = FeaturePyramid(scales, name=f"{name}_pyramid")
        maps = pyramid(maps[0], padding_mask=copy.padding_mask)
    if not padding_mask:
        outputs = maps if len(maps) > 1 else maps[0]
        return StrictModel(inputs["images"], outputs, name=name)
    mask = _mask_of_map(copy.padding_mask, scales[-1])
    outputs = {"feature_maps": maps, "padding_mask": mask}
    return StrictModel(inputs, outputs, name=name)


def is_vit(model):
    """Whether a model has the stages that a backbone is made of."""
    return is_graph(model) and {ViT.PATCHES, ViT.ENCODER} <= {
        layer.name for layer in model.layers
    }


def is_vit_backbone(model):
    """Whether a model comes from `build_vit_backbone`."""
    return is_graph(model) and any(
        isinstance(layer, (PatchGrid, FeatureMapEncoder))
        for layer in model.layers
    )


def normalization_of(vit):
    """The mean and the std of pixels that a ViT was trained with, or None."""
    names = [layer.name for layer in vit.layers]
    if ViT.NORMALIZE_PIXELS not in names:
        return None
    layer = vit.get_layer(ViT.NORMALIZE_PIXELS)
    scale, offset = np.ravel(layer.scale), np.ravel(layer.offset)
    return (-offset / scale).tolist(), (1 / scale).tolist()


def _mask_of_map(padding_mask, scale):
    """(B, rows, columns) of the patches, at another size."""
    if scale < 1:
        return padding_mask[:, ::2, ::2]
    for axis in (1, 2):
        padding_mask = keras.ops.repeat(padding_mask, scale, axis=axis)
    return padding_mask


def _check_pixels(vit, image_shape):
    """Refuses images of other channels, and pixels normalized elsewhere."""
    num_channels = vit.inputs[0].shape[-1]
    if image_shape is not None and image_shape[-1] != num_channels:
        raise ValueError(
            f"`image_shape` must have the {num_channels} channels of the ViT. "
            f"Received: image_shape={image_shape}"
        )
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    for layer in vit.layers:
        is_named = layer.name == ViT.NORMALIZE_PIXELS
        is_rescaling = isinstance(layer, keras.layers.Rescaling)
        if isinstance(layer, kinds) and not (is_named and is_rescaling):
            raise ValueError(
                "The layer that normalizes a ViT's pixels must be a "
                f"keras.layers.Rescaling named {ViT.NORMALIZE_PIXELS!r}, or a "
                "detector would normalize them twice. Received: "
                f"{type(layer).__name__} named {layer.name!r}"
            )


def check_sees_no_padding(vit):
    """Refuses layers before the encoder that mix padding into the image."""
    positions = next((x for x in vit.layers if x.name == ViT.POSITIONS), None)
    if not is_cut_from_images(vit):
        found = "its patches are cut from the features of a backbone"
    elif (
        positions is not None
        and "padding_mask" not in inspect.signature(positions.call).parameters
    ):
        found = f"its positions are a {type(positions).__name__}"
    else:
        return
    raise ValueError(
        '`padding_mask=True` (padding="exact") needs a ViT whose patches are '
        "cut from the images and whose positions take a `padding_mask`. "
        f'Received: {vit.name!r}, {found}. padding="published" takes any ViT.'
    )
