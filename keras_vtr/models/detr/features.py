"""DETR's first stage: from images to the feature maps that become tokens."""

import keras

from keras_vtr.backbones import build_convolution_stem
from keras_vtr.backbones import build_resnet
from keras_vtr.backbones import build_vit_backbone
from keras_vtr.backbones.resnet import RESNET_18
from keras_vtr.backbones.resnet import RESNET_34
from keras_vtr.backbones.resnet import RESNET_50
from keras_vtr.backbones.resnet import RESNET_101
from keras_vtr.backbones.vit import is_vit
from keras_vtr.backbones.vit import is_vit_backbone
from keras_vtr.backbones.vit import normalization_of
from keras_vtr.layers import MaskPadding
from keras_vtr.layers import ResizePaddingMask
from keras_vtr.models.pixels import IMAGENET_MEAN
from keras_vtr.models.pixels import IMAGENET_STD
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels
from keras_vtr.stages import DETR

RESNETS = {  # arguments of `build_resnet`
    "resnet18": {"num_blocks": RESNET_18, "block": "basic"},
    "resnet34": {"num_blocks": RESNET_34, "block": "basic"},
    "resnet50": {"num_blocks": RESNET_50},
    "resnet101": {"num_blocks": RESNET_101},
    "resnet50_dc5": {"num_blocks": RESNET_50, "dilation": True},
    "resnet101_dc5": {"num_blocks": RESNET_101, "dilation": True},
}
STEM = "convolution_stem"
PADDINGS = (None, "exact", "published")


def read_images(image_shape, backbone, padding, mean, std, finer_maps=False):
    """The model's inputs, and what the backbone makes of them.

    Args:
        image_shape: (height, width, channels).
        backbone: As in `build_detr`.
        padding: One of `PADDINGS`.
        mean: Of each channel's pixels. Default: the ViT's, if the backbone is
            one, else ImageNet's, if images have color.
        std: Likewise.
        finer_maps: Whether the convolution stem gives all of its maps.

    Returns:
        The inputs, the list of feature maps, and the padding mask of the last
        one, or None.
    """
    images = image_input(image_shape)
    if is_vit_backbone(backbone) and (mean is None or std is None):
        raise ValueError(
            "`pixel_mean` and `pixel_std` must be given, as the ViT was "
            "trained, with a backbone from build_vit_backbone. Or give the ViT "
            f"itself as `backbone`. Received: backbone={backbone!r}"
        )
    if is_vit(backbone):
        if mean is None and std is None:
            mean, std = normalization_of(backbone) or (None, None)
        # Without a mask, padding would be taken for a part of the image.
        is_known = padding is not None or None not in image_shape[:2]
        backbone = build_vit_backbone(
            backbone,
            image_shape,
            padding_mask=padding == "exact",
            pads_images=is_known,
        )
    elif backbone is None or isinstance(backbone, str):
        backbone = _named_backbone(backbone, image_shape, padding, finer_maps)
    num_channels = image_shape[-1]
    if mean is None and std is None and num_channels == 3:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    if mean is None or std is None:
        raise ValueError(
            "`pixel_mean` and `pixel_std` must both be given; only for "
            "color images is there a default. Received: "
            f"pixel_mean={mean}, pixel_std={std}, {num_channels} channels"
        )
    pixels = normalize_pixels(images, mean, std)
    if padding is None:
        return images, *_read_features(backbone, pixels, None, padding)
    padding_mask = keras.Input(
        image_shape[:2], dtype="bool", name=DETR.PADDING_MASK
    )
    inputs = {"images": images, "padding_mask": padding_mask}
    return inputs, *_read_features(backbone, pixels, padding_mask, padding)


def _read_features(backbone, pixels, padding_mask, padding):
    takes_mask = len(getattr(backbone, "inputs", None) or (0,)) == 2
    if takes_mask != (padding == "exact"):
        raise ValueError(
            'padding="exact" needs a backbone with a second input, '
            "`padding_mask`, such as build_resnet(padding_mask=True); other "
            "values of `padding` need one with one input. Received: "
            f"padding={padding!r}, {backbone!r} with "
            f"{'two inputs' if takes_mask else 'one input'}"
        )
    if takes_mask:
        outputs = backbone({"images": pixels, "padding_mask": padding_mask})
        maps, padding_mask = outputs["feature_maps"], outputs["padding_mask"]
        return _checked(maps, backbone), padding_mask
    if padding_mask is not None:
        pixels = MaskPadding(name="mask_padding")(pixels, padding_mask)
    maps = _checked(backbone(pixels), backbone)
    if padding_mask is not None:
        padding_mask = ResizePaddingMask(name="padding_mask_of_tokens")(
            padding_mask, maps[-1]
        )
    return maps, padding_mask


def _named_backbone(name, image_shape, padding, finer_maps):
    if name == STEM:
        return build_convolution_stem(image_shape, finer_maps=finer_maps)
    if name not in RESNETS:
        raise ValueError(
            "`backbone` must be a Keras model, such as a ViT, or one of "
            f"{sorted([*RESNETS, STEM])}. Received: backbone={name!r}"
        )
    mask = padding == "exact"
    return build_resnet(
        image_shape, padding_mask=mask, name=name, **RESNETS[name]
    )


def _checked(feature_maps, backbone):
    if not isinstance(feature_maps, (list, tuple)):
        feature_maps = [feature_maps]
    for feature_map in feature_maps:
        shape = getattr(feature_map, "shape", None)
        if shape is None or len(shape) != 4:
            raise ValueError(
                "`backbone` must map images to one feature map (B, height, "
                "width, features), or to a list of them, the one for the "
                f"encoder last. Received: an output of shape {shape} from "
                f"{backbone!r}"
            )
    return list(feature_maps)
