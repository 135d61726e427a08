import keras

from keras_vtr.layers import MaskPadding
from keras_vtr.layers import PadToMultiple
from keras_vtr.layers import PatchGrid
from keras_vtr.layers import ResizePaddingMask
from keras_vtr.layers import TransformerEncoder
from keras_vtr.stages import ViT


class ViTCopy:
    """Copies a ViT's layers from images to encoder, and rewires them.

    Their names begin with that of the backbone, or the paths of their weights
    would be those of a detector's own encoder.

    Args:
        vit: A functional ViT.
        padding_mask: Optional input (B, height, width). `feature_map` makes an
            attribute of it that is the mask of the map.
        encoder_class: The subclass of `TransformerEncoder` that replaces the
            ViT's encoder and reads the feature map of patches, or None.
        encoder_options: Of the encoder that replaces the ViT's.
        name: Of the backbone.
        pads_images: Whether to pad them to multiples of the patch size.
    """

    def __init__(
        self,
        vit,
        padding_mask,
        encoder_class,
        encoder_options,
        name,
        pads_images=True,
    ):
        self.vit = vit
        self.padding_mask = padding_mask
        self.encoder_class = encoder_class
        self.encoder_options = encoder_options
        self.name = name
        self.pads_images = pads_images
        self.num_leading_tokens = sum(
            layer.num_tokens
            for layer in vit.layers
            if layer.name in (ViT.CLASS_TOKEN, ViT.REGISTER_TOKENS)
        )
        self.patches = None
        self.encoded = None

    def feature_map(self, images):
        """The map of the patches, or what the encoder makes of it."""
        encoded = self.vit.get_layer(ViT.ENCODER).output
        inputs, given = [self.vit.inputs[0]], [images]
        if self.padding_mask is not None:
            # Keras refuses what no input leads to.
            inputs.append(self.padding_mask)
            given.append(self.padding_mask)
        keras.models.clone_model(
            keras.Model(inputs, encoded),
            input_tensors=given,
            clone_function=self._copy,
            call_function=self._call,
        )
        if self.encoder_class is not None:
            return self.encoded
        grid = PatchGrid(self.num_leading_tokens, name=f"{self.name}_grid")
        return grid(self.encoded, self.patches)

    def _copy(self, layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation
        kind, config = type(layer), layer.get_config()
        is_replaced = layer.name == ViT.ENCODER and self.encoder_class
        if is_replaced:
            _check_encoder(layer)
            kind = self.encoder_class
            config = {**config, **self.encoder_options}
            config["num_leading_tokens"] = self.num_leading_tokens
        change = {"name": f"{self.name}_{layer.name}", "trainable": True}
        copied = kind.from_config({**config, **change})
        # Tables are made for the ViT's own images, not for these.
        copied.build_from_config(layer.get_build_config() or {})
        pairs = [(copied, layer)]
        if is_replaced:  # which may have other weights besides
            # It may leave out the last blocks.
            pairs = list(zip(copied.blocks, layer.blocks, strict=False))
            if layer.output_norm is not None:
                pairs.append((copied.output_norm, layer.output_norm))
        for copy, original in pairs:
            self._copy_weights(copy, original)
        return copied

    def _copy_weights(self, copied, layer):
        weights = layer.get_weights()
        if len(copied.weights) != len(weights):
            raise ValueError(
                "`vit` must become a backbone before it is quantized or gets "
                f"LoRA. Received: {self.vit.name!r}, whose layer "
                f"{layer.name!r} has {len(weights)} weights instead of "
                f"{len(copied.weights)}"
            )
        copied.set_weights(weights)

    def _call(self, layer, x, *args, **kwargs):
        stage = layer.name.removeprefix(f"{self.name}_")
        if stage == ViT.NORMALIZE_PIXELS:
            return x
        if stage == ViT.PATCHES:
            self.patches = self._cut(layer, x)
            return self.patches
        if self.padding_mask is not None and stage == ViT.POSITIONS:
            kwargs["padding_mask"] = self.padding_mask
        if stage != ViT.ENCODER:
            return layer(x, *args, **kwargs)
        if self.encoder_class is not None:
            kwargs["feature_map"] = self.patches
            self._check_bias(kwargs.get("attention_bias"))
            if self.padding_mask is not None:
                kwargs["padding_mask"] = self.padding_mask
        elif self.padding_mask is not None:
            kwargs["padding_mask"] = self._mask_of_tokens()
        self.encoded = layer(x, *args, **kwargs)
        # The graph that is copied has one output.
        return keras.tree.flatten(self.encoded)[0]

    def _check_bias(self, attention_bias):
        names = ("window_size", "num_windows")
        given = {name: self.encoder_options.get(name) for name in names}
        if attention_bias is not None and any(given.values()):
            raise ValueError(
                "`window_size` and `num_windows` must be None for a ViT with "
                "relative positions, which are those of pairs of patches of "
                f"the complete image. Received: {given}, {self.vit.name!r}"
            )

    def _cut(self, layer, images):
        """Patches of images of any size; `padding_mask` is then theirs."""
        if self.padding_mask is not None:
            images = MaskPadding(name=f"{self.name}_mask")(
                images, self.padding_mask
            )
        is_cut = is_cut_from_images(self.vit) and hasattr(layer, "patch_size")
        if self.pads_images and is_cut:
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


def is_cut_from_images(vit):
    """Whether the patches are cut from images, not from a backbone's map."""
    stages = {layer.name: layer for layer in vit.layers}
    normalize = stages.get(ViT.NORMALIZE_PIXELS)
    starts = [vit.inputs[0], normalize and normalize.output]
    return any(stages[ViT.PATCHES].input is x for x in starts)


def _check_encoder(layer):
    if type(layer) is not TransformerEncoder:
        raise ValueError(
            "A ViT whose encoder is replaced must have a TransformerEncoder. "
            f"Received: {type(layer).__name__}"
        )
