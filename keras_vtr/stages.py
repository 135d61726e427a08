"""The stages of each model: names of the layers that other code relies on.

In the order of the data flow. A model of one's own that names its layers so is
read by `visualization`, `pretrained`, `serving` and the others like ours.
"""


class ViT:
    """Of `build_vit`. Some are only there if they are asked for."""

    IMAGES = "images"
    NORMALIZE_PIXELS = "normalize_pixels"
    PATCHES = "patches"  # the feature map of patches
    TOKENS = "tokens"
    CLASS_TOKEN = "class_token"
    POSITIONS = "positions"
    REGISTER_TOKENS = "register_tokens"
    INPUT_NORM = "input_norm"
    ENCODER = "encoder"
    POOLING = "pooling"
    REPRESENTATION = "representation"
    HEAD = "head"
    DISTILLATION_HEAD = "distillation_head"


class DETR:
    """Of `build_detr`. Some are only there if they are asked for."""

    IMAGES = "images"
    PADDING_MASK = "padding_mask"
    NORMALIZE_PIXELS = "normalize_pixels"
    INPUT_PROJECTION = "input_projection"  # the feature map of the encoder
    POSITIONS = "positions"
    TOKENS = "tokens"
    REAL_TOKENS = "real_tokens"  # the padding mask of the tokens
    ENCODER = "encoder"
    CENTERS = "centers"
    QUERY_SELECTION = "query_selection"
    OBJECT_QUERIES = "object_queries"
    DECODER = "decoder"
    BOX_HEAD_0 = "box_head_0"
    BOX_HEAD_1 = "box_head_1"
    BOX_HEAD_2 = "box_head_2"
    CLASS_HEAD = "class_head"
    MASK_HEAD = "mask_head"
    MASKS = "masks"


class YOLOS:
    """Of `build_yolos`. Some are only there if they are asked for."""

    IMAGES = "images"
    PADDING_MASK = "padding_mask"
    NORMALIZE_PIXELS = "normalize_pixels"
    VIT = "vit"  # a model, whose layers' names begin with "vit_"
    CLASS_HEAD_0 = "class_head_0"
    CLASS_HEAD_1 = "class_head_1"
    CLASS_HEAD = "class_head"
    BOX_HEAD_0 = "box_head_0"
    BOX_HEAD_1 = "box_head_1"
    BOX_HEAD_2 = "box_head_2"


class Transformer:
    """Of `build_transformer`. An encoder handed in has its own."""

    SOURCE = "source"
    REAL_TOKENS = "real_tokens"  # the padding mask of the source
    EMBEDDING = "embedding"
    SCALE = "scale"
    POSITIONS = "positions"
    ENCODER = "encoder"
    MEMORY = "memory"
    TARGET = "target"
    DECODER = "decoder"
