import keras

from keras_vtr.layers import FeatureMapEncoder
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
        encoder_options: Of the `FeatureMapEncoder` that replaces the ViT's
            encoder, if one is not None.
        name: Of the backbone.
    """

    def __init__(self, vit, padding_mask, encoder_options, name):
        self.vit = vit
        self.padding_mask = padding_mask
        self.encoder_options = encoder_options
        self.name = name
        self.num_leading_tokens = sum(
            layer.num_tokens
            for layer in vit.layers
            if layer.name in (ViT.CLASS_TOKEN, ViT.REGISTER_TOKENS)
        )
        self.patches = None

    def feature_map(self, images):
        encoded = self.vit.get_layer(ViT.ENCODER).output
        inputs, given = [self.vit.inputs[0]], [images]
        if self.padding_mask is not None:
            # Keras refuses what no input leads to.
            inputs.append(self.padding_mask)
            given.append(self.padding_mask)
        encoded = keras.models.clone_model(
            keras.Model(inputs, encoded),
            input_tensors=given,
            clone_function=self._copy,
            call_function=self._call,
        ).output
        if self._is_rewired():
            return encoded
        grid = PatchGrid(self.num_leading_tokens, name=f"{self.name}_grid")
        return grid(encoded, self.patches)

    def _is_rewired(self):
        return any(x is not None for x in self.encoder_options.values())

    def _copy(self, layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation
        kind, config = type(layer), layer.get_config()
        if layer.name == ViT.ENCODER and self._is_rewired():
            kind = _feature_map_encoder_for(layer)
            config = {**config, **self.encoder_options}
            config["num_leading_tokens"] = self.num_leading_tokens
        change = {"name": f"{self.name}_{layer.name}", "trainable": True}
        copied = kind.from_config({**config, **change})
        # Tables are made for the ViT's own images, not for these.
        copied.build_from_config(layer.get_build_config() or {})
        weights = _weights_for(copied, layer)
        if len(copied.weights) != len(weights):
            raise ValueError(
                "`vit` must become a backbone before it is quantized or gets "
                f"LoRA. Received: {self.vit.name!r}, whose layer "
                f"{layer.name!r} has {len(weights)} weights instead of "
                f"{len(copied.weights)}"
            )
        copied.set_weights(weights)
        return copied

    def _call(self, layer, x, *args, **kwargs):
        stage = layer.name.removeprefix(f"{self.name}_")
        if stage == ViT.NORMALIZE_PIXELS:
            return x
        if stage == ViT.PATCHES:
            self.patches = self._cut(layer, x)
            return self.patches
        if self.padding_mask is not None and stage == ViT.POSITIONS:
            kwargs["padding_mask"] = self.padding_mask
        if stage == ViT.ENCODER and self._is_rewired():
            kwargs["feature_map"] = self.patches
            kwargs["padding_mask"] = self.padding_mask
            self._check_bias(kwargs.get("attention_bias"))
        elif self.padding_mask is not None and stage == ViT.ENCODER:
            kwargs["padding_mask"] = self._mask_of_tokens()
        return layer(x, *args, **kwargs)

    def _check_bias(self, attention_bias):
        window_size = self.encoder_options["window_size"]
        if attention_bias is not None and window_size is not None:
            raise ValueError(
                "`window_size` must be None for a ViT with relative positions, "
                "which are those of pairs of patches of the complete image. "
                f"Received: window_size={window_size!r}, {self.vit.name!r}"
            )

    def _cut(self, layer, images):
        """Patches of images of any size; `padding_mask` is then theirs."""
        if self.padding_mask is not None:
            images = MaskPadding(name=f"{self.name}_mask")(
                images, self.padding_mask
            )
        if is_cut_from_images(self.vit) and hasattr(layer, "patch_size"):
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


def _feature_map_encoder_for(layer):
    """The class that replaces a ViT's encoder, with the same weights."""
    if type(layer) is TransformerEncoder:
        return FeatureMapEncoder
    raise ValueError(
        "`feature_blocks` and `window_size` need a ViT whose encoder is a "
        f"TransformerEncoder. Received: {type(layer).__name__}"
    )


def _weights_for(copied, layer):
    """A layer's weights, without the blocks that its copy doesn't need."""
    if not isinstance(copied, FeatureMapEncoder):
        return layer.get_weights()
    parts = [*layer.blocks[: len(copied.blocks)], layer.output_norm]
    return [y for x in parts if x is not None for y in x.get_weights()]
