import keras

from keras_vtr.layers import AttentionPooling
from keras_vtr.layers import ClassHead
from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import PatchEmbedding
from keras_vtr.layers import TokenPooling
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.block_arguments import block_arguments
from keras_vtr.models.named_model import NamedModel
from keras_vtr.models.named_model import with_names
from keras_vtr.models.pixels import image_input
from keras_vtr.models.pixels import normalize_pixels
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
POOLINGS = ("class_token", "mean", "class_token_and_mean", "attention")


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
    representation_dim=None,
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
        representation_dim: Width of a dense layer with tanh before the head,
            as the paper has in pre-training. Default: no such layer.
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
    num_class_tokens = _check_tokens(
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
    block = _block(position, sum(num_tokens), options)
    encoder = TransformerEncoder(block, num_layers, name=ViT.ENCODER)
    memory = encoder(tokens, **positions)
    features = _pool(memory, pooling, sum(num_tokens), block)
    output = _head(features, memory, num_classes, representation_dim, distilled)
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


def _check_tokens(num_classes, pooling, num_class_tokens, distilled):
    """Checks what depends on the class tokens; returns their number."""
    if not isinstance(num_classes, int) or num_classes < 0:
        raise ValueError(
            "`num_classes` must be an integer, 0 for no head. Received: "
            f"num_classes={num_classes!r}"
        )
    if pooling not in POOLINGS:
        raise ValueError(
            f"`pooling` must be one of {list(POOLINGS)}. "
            f"Received: pooling={pooling!r}"
        )
    if distilled and pooling != "class_token":
        raise ValueError(
            "`distilled` needs class tokens that are read one by one, "
            f"pooling='class_token'. Received: pooling={pooling!r}"
        )
    least = 2 if distilled else int(pooling.startswith("class_token"))
    if num_class_tokens is None:
        return least
    if num_class_tokens < least:
        raise ValueError(
            f"`num_class_tokens` must be {least} or more with "
            f"pooling={pooling!r} and distilled={distilled}. Received: "
            f"num_class_tokens={num_class_tokens}"
        )
    return num_class_tokens


def _pool(memory, pooling, num_leading_tokens, block):
    if pooling != "attention":
        layer = TokenPooling(pooling, num_leading_tokens, name=ViT.POOLING)
        return layer(memory)
    inside = block.feed_forward
    return AttentionPooling(
        MultiHeadAttention(block.attention.num_heads),
        FeedForward(inside.mlp_dim, activation=inside.activation),
        norm=block.norm,
        name=ViT.POOLING,
    )(memory)


def _head(features, memory, num_classes, representation_dim, distilled):
    """Logits in float32, the mean of two heads if there are two."""
    if representation_dim is not None:
        features = keras.layers.Dense(
            representation_dim, activation="tanh", name=ViT.REPRESENTATION
        )(features)
    if not num_classes:
        return features
    logits = ClassHead(num_classes, dtype="float32", name=ViT.HEAD)(features)
    if not distilled:
        return logits
    from_teacher = keras.layers.Dense(
        num_classes, dtype="float32", name=ViT.DISTILLATION_HEAD
    )(memory[:, 1])
    return keras.layers.Average(dtype="float32", name="logits")(
        [logits, from_teacher]
    )
