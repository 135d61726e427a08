import inspect

import keras
import numpy as np

from keras_vtr.functional_models import as_functional
from keras_vtr.functional_models import is_graph
from keras_vtr.layers import MaskPadding
from keras_vtr.layers import PadToMultiple
from keras_vtr.layers import PatchGrid
from keras_vtr.layers import ResizePaddingMask
from keras_vtr.stages import ViT
from keras_vtr.strict_model import StrictModel


def build_vit_backbone(
    vit, image_shape=None, *, padding_mask=False, name="vit"
):
    """Builds a backbone from a ViT: everything from patches to encoder.

    Li et al. 2022 (ViTDet), section 3: the last feature map of a plain ViT is
    all that a detector needs. Class tokens and registers take part in attention
    and are cut off behind it. Images of any size are padded with zeros to
    multiples of the patch size, if patches are cut from images. The weights
    are copies, and all of them are trainable.

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
        name: Name of the model, and with "_" the beginning of its layers'.

    Returns:
        A functional model of images (B, height, width, channels), normalized
        as the ViT does it, to a feature map (B, height / patch size, width /
        patch size, D), rounded up. With `padding_mask`, from a dict of
        `images` and `padding_mask` to a dict of `feature_maps`, a list of one,
        and `padding_mask`, that of the map.

    Raises:
        ValueError: If the model is no ViT, has another normalization of pixels
            than a Rescaling named "normalize_pixels", is quantized or has other
            channels than `image_shape`; or with `padding_mask` has a
            convolutional backbone or relative positions, which see padding.

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
    _check_pixels(vit, image_shape)
    if padding_mask:
        _check_sees_no_padding(vit)
    if image_shape is None:
        image_shape = (None, None, vit.inputs[0].shape[-1])
    inputs = {"images": keras.Input(image_shape, name="images")}
    if padding_mask:
        inputs["padding_mask"] = keras.Input(
            image_shape[:2], dtype="bool", name="padding_mask"
        )
    copy = _Copy(vit, inputs.get("padding_mask"), name)
    feature_map = copy.feature_map(inputs["images"])
    if not padding_mask:
        return StrictModel(inputs["images"], feature_map, name=name)
    outputs = {"feature_maps": [feature_map], "padding_mask": copy.padding_mask}
    return StrictModel(inputs, outputs, name=name)


def is_vit(model):
    """Whether a model has the stages that a backbone is made of."""
    return is_graph(model) and {ViT.PATCHES, ViT.ENCODER} <= {
        layer.name for layer in model.layers
    }


def is_vit_backbone(model):
    """Whether a model comes from `build_vit_backbone`."""
    return is_graph(model) and any(
        isinstance(layer, PatchGrid) for layer in model.layers
    )


def normalization_of(vit):
    """The mean and the std of pixels that a ViT was trained with, or None."""
    names = [layer.name for layer in vit.layers]
    if ViT.NORMALIZE_PIXELS not in names:
        return None
    layer = vit.get_layer(ViT.NORMALIZE_PIXELS)
    scale, offset = np.ravel(layer.scale), np.ravel(layer.offset)
    return (-offset / scale).tolist(), (1 / scale).tolist()


class _Copy:
    """Copies a ViT's layers from images to encoder, and rewires them.

    Their names begin with that of the backbone, or the paths of their weights
    would be those of a detector's own encoder.
    """

    def __init__(self, vit, padding_mask, name):
        self.vit = vit
        self.padding_mask = padding_mask
        self.name = name
        self.num_leading_tokens = 0
        self.patches = None

    def feature_map(self, images):
        tokens = self.vit.get_layer(ViT.ENCODER).output
        inputs, given = [self.vit.inputs[0]], [images]
        if (
            self.padding_mask is not None
        ):  # Keras refuses what no input leads to
            inputs.append(self.padding_mask)
            given.append(self.padding_mask)
        tokens = keras.models.clone_model(
            keras.Model(inputs, tokens),
            input_tensors=given,
            clone_function=self._copy,
            call_function=self._call,
        ).output
        grid = PatchGrid(self.num_leading_tokens, name=f"{self.name}_grid")
        return grid(tokens, self.patches)

    def _copy(self, layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation
        change = {"name": f"{self.name}_{layer.name}", "trainable": True}
        copied = type(layer).from_config({**layer.get_config(), **change})
        # Tables are made for the ViT's own images, not for these.
        copied.build_from_config(layer.get_build_config() or {})
        if len(copied.weights) != len(layer.weights):
            raise ValueError(
                "`vit` must become a backbone before it is quantized or gets "
                f"LoRA. Received: {self.vit.name!r}, whose layer "
                f"{layer.name!r} has {len(layer.weights)} weights instead of "
                f"{len(copied.weights)}"
            )
        copied.set_weights(layer.get_weights())
        return copied

    def _call(self, layer, x, *args, **kwargs):
        stage = layer.name.removeprefix(f"{self.name}_")
        if stage == ViT.NORMALIZE_PIXELS:
            return x
        if stage == ViT.PATCHES:
            self.patches = self._cut(layer, x)
            return self.patches
        if stage in (ViT.CLASS_TOKEN, ViT.REGISTER_TOKENS):
            self.num_leading_tokens += layer.num_tokens
        if self.padding_mask is not None and stage == ViT.POSITIONS:
            kwargs["padding_mask"] = self.padding_mask
        if self.padding_mask is not None and stage == ViT.ENCODER:
            kwargs["padding_mask"] = self._mask_of_tokens()
        return layer(x, *args, **kwargs)

    def _cut(self, layer, images):
        """Patches of images of any size; `padding_mask` is then theirs."""
        if self.padding_mask is not None:
            images = MaskPadding(name=f"{self.name}_mask")(
                images, self.padding_mask
            )
        if _is_cut_from_images(self.vit) and hasattr(layer, "patch_size"):
            pad = PadToMultiple(layer.patch_size, name=f"{self.name}_padding")
            images = pad(images)
            self.padding_mask = (
                None if self.padding_mask is None else pad(self.padding_mask)
            )
        patches = layer(images)  # (B, rows, columns, D)
        if self.padding_mask is not None:
            resize = ResizePaddingMask(name=f"{self.name}_padding_mask")
            self.padding_mask = resize(
                self.padding_mask, patches
            )  # (B, rows, columns)
        return patches

    def _mask_of_tokens(self):
        """(B, num_leading_tokens + rows * columns)."""
        mask = keras.layers.Reshape((-1,))(self.padding_mask)
        if not self.num_leading_tokens:
            return mask
        leading = keras.ops.ones_like(mask[:, :1])
        return keras.ops.concatenate(
            [leading] * self.num_leading_tokens + [mask], axis=1
        )


def _is_cut_from_images(vit):
    """Whether the patches are cut from images, not from a backbone's map."""
    stages = {layer.name: layer for layer in vit.layers}
    normalize = stages.get(ViT.NORMALIZE_PIXELS)
    starts = [vit.inputs[0], normalize and normalize.output]
    return any(stages[ViT.PATCHES].input is x for x in starts)


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


def _check_sees_no_padding(vit):
    """Refuses layers before the encoder that mix padding into the image."""
    positions = next((x for x in vit.layers if x.name == ViT.POSITIONS), None)
    if not _is_cut_from_images(vit):
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
