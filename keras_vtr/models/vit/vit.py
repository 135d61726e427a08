import keras

from keras_vtr.layers import PatchEmbedding
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.named_model import NamedModel
from keras_vtr.models.named_model import with_names
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels
from keras_vtr.models.vit.heads import add_heads
from keras_vtr.models.vit.heads import check_tokens
from keras_vtr.models.vit.heads import pool
from keras_vtr.models.vit.tokens import add_positions
from keras_vtr.models.vit.tokens import rotary_rule
from keras_vtr.stages import ViT

# Base, large and huge: Dosovitskiy et al. 2020, table 1. Tiny and small:
# Touvron et al. 2021 (DeiT), table 1. Giant: Oquab et al. 2023 (DINOv2), table
# 17, whose feed-forward blocks are SwiGLU.
#           parameters without head at 224 x 224 and patch 16, huge at 14:
#           5,524,416; 21,665,664; 85,798,656; 303,301,632; 630,764,800
# Giant with patch 14 at 518 x 518 and layer scale: 1,136,479,232.
SIZES = {  # hidden_dim, num_layers, num_heads, mlp_dim
    "tiny": (192, 12, 3, 768),
    "small": (384, 12, 6, 1536),
    "base": (768, 12, 12, 3072),
    "large": (1024, 24, 16, 4096),
    "huge": (1280, 32, 16, 5120),
    "giant": (1536, 40, 24, 4096),
}


def build_vit(
    num_classes,
    *,
    size="base",
    patch_size=16,
    image_shape=(224, 224, 3),
    backbone=None,
    hidden_dim=None,
    position="learned_1d",
    position_grid=None,
    position_interpolation="bilinear",
    pooling="class_token",
    num_class_tokens=None,
    num_register_tokens=0,
    distilled=False,
    input_norm=None,
    representation_dim=None,
    representation_activation="tanh",
    pixel_mean=127.5,
    pixel_std=127.5,
    dropout=0.0,
    class_names=None,
    name="vit",
    **block_options,
):
    """Builds an image classifier or feature extractor.

    Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", section 3.1 and
    figure 1: an image is cut into patches, each patch becomes a token, a
    Transformer encoder relates the tokens, and a head classifies one of them.
    Each stage is a named layer of a functional model (`keras_vtr.stages`), so
    the graph can be read, cut and rewired:
    `keras.Model(vit.input, vit.get_layer("encoder").output)` returns all
    tokens: class tokens, registers, patches in raster order.

    Args:
        num_classes: K; 0 for no head: the model then ends in `pooling`.
        size: `"tiny"`, `"small"`, `"base"`, `"large"`, `"huge"` or
            `"giant"`.
        patch_size: Side of a patch in pixels (of the backbone's map, where
            there is one).
        image_shape: (height, width, channels). Height and width may be None:
            then any multiples of the patch size can be given.
        backbone: Optional Keras model from images to a feature map whose
            pixels, or patches, become the tokens: the paper's hybrid, with
            `keras_vtr.backbones.build_bit_resnet`.
        hidden_dim: Width D of a token. Default: the size's.
        position: How tokens get their positions (compared in appendix D.4):
            `"none"`, `"learned_1d"` (a table in raster order, the paper's
            choice), `"learned_2d"` (rows and columns), `"relative"` (an
            attention bias), the fixed `"sine"`; or `"rotary"`, which rotates
            queries and keys (Simeoni et al. 2025, DINOv3) or applies a
            `position_rule` of your own to them.
        position_grid: (rows, columns) of patches that learned positions are
            made for. Default: those of `image_shape`.
        position_interpolation: How these are resized for other images, as in
            `keras_vtr.layers.PositionEmbedding`.
        pooling: Input of the head: `"class_token"`, `"mean"` over the
            patches, both (`"class_token_and_mean"`), or `"attention"`.
        num_class_tokens: Default: 2 if `distilled`, else 1 if `pooling` uses
            one, else 0.
        num_register_tokens: Learned tokens that no head uses (Darcet et al.
            2023).
        distilled: If True, a second class token has a head of its own, and
            the logits are the mean of both heads (Touvron et al. 2021, DeiT,
            section 4).
        input_norm: Optional norm of the tokens before the encoder, an unbuilt
            Keras layer, as in CLIP (Radford et al. 2021, section 2.4).
        representation_dim: Width of a dense layer with tanh before the head,
            as the paper has in pre-training. Default: no such layer.
        representation_activation: Of that layer. `"linear"` makes it the
            projection into CLIP's space of pictures and texts.
        pixel_mean: Of each channel in [0, 255], one number a channel or one
            for all. Default: pixels become -1 to 1, as in the paper.
        pixel_std: Likewise.
        dropout: Fraction dropped in training after positions are added, and
            after each sub-layer.
        class_names: Optional K names, None for a class that isn't used; kept
            as `model.class_names` and saved with the model.
        name: Name of the model.
        **block_options: Of the encoder: `num_layers`, `num_heads` and
            `mlp_dim`, which else are the size's; `attention_dropout`,
            `activation`, `norm` or `layer_norm_epsilon`,
            `normalize_query_key`, `position_rule`, `layer_scale`,
            `stochastic_depth`, `normalize_first`, `query_chunk_size` for
            large images, as in `TransformerEncoderBlock` and its parts.

    Returns:
        A `keras_vtr.models.NamedModel` from pixels in [0, 255], (B, height,
        width, channels), to float32 logits (B, K), or to features (B, D)
        without head.

    Raises:
        ValueError: If an argument is out of its range, or `patch_size` doesn't
            divide the image.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     num_classes=3, size="tiny", image_shape=(32, 48, 3), num_layers=2
    ... )
    >>> print(tuple(vit(keras.ops.ones((2, 32, 48, 3))).shape))
    (2, 3)
    """
    num_layers, options = _sizes(size, {"dropout": dropout, **block_options})
    num_class_tokens = check_tokens(
        num_classes, pooling, num_class_tokens, distilled
    )
    images = image_input(image_shape)
    pixels = normalize_pixels(images, pixel_mean, pixel_std)
    hidden_dim = SIZES[size][0] if hidden_dim is None else hidden_dim
    patches = PatchEmbedding(
        hidden_dim, patch_size, flatten=False, name=ViT.PATCHES
    )(pixels if backbone is None else backbone(pixels))
    num_tokens = (num_class_tokens, num_register_tokens)
    tokens, positions = add_positions(
        patches,
        position,
        position_grid,
        position_interpolation,
        options["num_heads"],
        *num_tokens,
    )
    tokens = keras.layers.Dropout(dropout, name="dropout")(tokens)
    if input_norm is not None:
        tokens = _input_norm(input_norm)(tokens)
    block = _block(position, sum(num_tokens), options)
    encoder = TransformerEncoder(block, num_layers, name=ViT.ENCODER)
    memory = encoder(tokens, **positions)
    features = pool(memory, pooling, sum(num_tokens), block)
    representation = (representation_dim, representation_activation)
    output = add_heads(features, memory, num_classes, representation, distilled)
    return with_names(NamedModel(images, output, name=name), class_names)


def _sizes(size, block_options):
    """The number of layers, and the options of each block."""
    if size not in SIZES:
        raise ValueError(
            f"`size` must be one of {list(SIZES)}. Received: size={size!r}"
        )
    num_layers, num_heads, mlp_dim = SIZES[size][1:]
    options = {"num_heads": num_heads, "mlp_dim": mlp_dim, **block_options}
    return options.pop("num_layers", num_layers), options


def _input_norm(norm):
    """A copy with the name of its stage."""
    if not isinstance(norm, keras.layers.Layer) or norm.weights:
        raise ValueError(
            "`input_norm` must be a Keras layer that is not built yet, such as "
            "keras.layers.LayerNormalization(epsilon=1e-5), or None. Received: "
            f"input_norm={norm!r}"
        )
    return type(norm).from_config({**norm.get_config(), "name": ViT.INPUT_NORM})


def _block(position, num_leading_tokens, options):
    if position == "rotary":
        rule = rotary_rule(num_leading_tokens)
        options = {"position_rule": rule, **options}
    elif options.get("position_rule") is not None:
        raise ValueError(
            "`position_rule` needs position='rotary'. Received: "
            f"position={position!r}"
        )
    return TransformerEncoderBlock(**block_arguments(**options))
