"""transformers' CLIP and SigLIP (also SigLIP 2 of fixed size): image towers.

The file of both towers, that of the image tower alone, and SigLIP's classifier.
"""

import keras

from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained import name_map as name_maps
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import find_prefix
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_common_keys
from keras_vtr.pretrained.transformers_keys import read_model_type
from keras_vtr.pretrained.vit.blocks import BlockNames
from keras_vtr.pretrained.vit.blocks import read_blocks
from keras_vtr.pretrained.vit.blocks import zero_biases
from keras_vtr.pretrained.vit.hugging_face import ACTIVATIONS
from keras_vtr.pretrained.vit.name_map import VitNameMap
from keras_vtr.pretrained.vit.name_map import grid_of_sides

PATCHES = "embeddings.patch_embedding.weight"
CLASS_TOKEN = "embeddings.class_embedding"
BOTH_TOWERS = {"clip": "CLIP", "siglip": "SigLIP"}
KINDS = {
    **BOTH_TOWERS,
    "clip_vision_model": "CLIP",
    "siglip_vision_model": "SigLIP",
}
# What a configuration of both towers leaves out has these values, of
# CLIPVisionConfig and SiglipVisionConfig (transformers 5.24); and the pixels
# of their image processors.
DEFAULTS = {
    "CLIP": {
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "image_mean": (122.7709383, 116.7460125, 104.09373615),
        "image_std": (68.5005327, 66.6321579, 70.32316305),
    },
    "SigLIP": {
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
        "image_mean": 127.5,
        "image_std": 127.5,
    },
}
DEFAULT_HEADS = 12
DEFAULT_SIDE = 224
CHANGES_NOTHING = {  # or shows in the tensors
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "patch_size",
    "num_channels",
    "projection_dim",
    "vision_use_head",
    "attention_dropout",
    "dropout",
    "initializer_factor",
    "logit_scale_init_value",
}
ATTENTION = {
    "query_projection": "q_proj",
    "key_projection": "k_proj",
    "value_projection": "v_proj",
    "output_projection": "out_proj",
}
BLOCK = BlockNames(
    attention={ours: f"self_attn.{x}" for ours, x in ATTENTION.items()},
    norms=("layer_norm1", "layer_norm2"),
    inner="mlp.fc1",
    output="mlp.fc2",
)
# Of texts, and of their comparison with images.
TEXT = ("text_model.", "text_projection.", "logit_scale", "logit_bias")


def recognize(shapes):
    return any(
        name.endswith(PATCHES) and len(shape) == 4
        for name, shape in shapes.items()
    )


def read(shapes, config, position_grid=None):
    model_type = read_model_type(config, KINDS)
    kind = KINDS[model_type]
    vision = _read_keys(config, model_type)
    prefix = find_prefix(shapes, PATCHES)
    arguments, weights = read_blocks(shapes, f"{prefix}encoder.layers", BLOCK)
    weights |= from_tensors.norm("encoder/norm", f"{prefix}post_layernorm")
    has_default = vision is not config
    arguments |= {
        "patch_size": shapes[f"{prefix}{PATCHES}"][2],
        "hidden_dim": shapes[f"{prefix}{PATCHES}"][0],
        "num_heads": vision.integer(
            "num_attention_heads", DEFAULT_HEADS if has_default else REQUIRED
        ),
        "activation": vision.choice(
            "hidden_act", ACTIVATIONS, ACTIVATIONS[DEFAULTS[kind]["hidden_act"]]
        ),
        "layer_norm_epsilon": vision.number(
            "layer_norm_eps", DEFAULTS[kind]["layer_norm_eps"]
        ),
    }
    weights |= from_tensors.convolution(
        "patches/projection", f"{prefix}embeddings.patch_embedding"
    )
    remarks = _add_tokens(
        shapes, prefix, arguments, weights, vision, position_grid
    )
    without_bias = _add_heads(shapes, prefix, kind, arguments, weights)
    remarks += zero_biases(weights, without_bias)
    arguments["class_names"] = read_class_names(
        config, arguments["num_classes"]
    )
    pixels, pixel_remarks, knows_pixels = name_maps.pixels(
        config, DEFAULTS[kind]["image_mean"], DEFAULTS[kind]["image_std"]
    )
    unused, text_remarks = _unused(shapes, prefix, arguments)
    return VitNameMap(
        f"Hugging Face {kind}",
        arguments | pixels,
        weights,
        unused=unused,
        remarks=remarks + pixel_remarks + text_remarks,
        knows_pixels=knows_pixels,
    )


def _read_keys(config, model_type):
    """The `Configuration` of the image tower."""
    read_common_keys(config)
    config.ignore(CHANGES_NOTHING)
    if model_type not in BOTH_TOWERS:
        return config
    for name in ("text_config", "text_config_dict", "vision_config_dict"):
        config.part(name).disregard()
    own = config.get("vision_config", {})
    old = config.get("vision_config_dict", {})
    # transformers lets it override the other, of which it is a copy.
    if any(own.get(key, value) != value for key, value in old.items()):
        raise config.error("vision_config_dict", "equal to vision_config")
    vision = config.part("vision_config")
    read_common_keys(vision)
    vision.ignore(CHANGES_NOTHING)
    vision.expect({"model_type": (f"{model_type}_vision_model",)})
    return vision


def _add_tokens(shapes, prefix, arguments, weights, vision, position_grid):
    """Adds the class token, positions and the norm of CLIP; returns remarks."""
    num_class_tokens = 0
    if f"{prefix}{CLASS_TOKEN}" in shapes:
        num_class_tokens = 1
        weights["class_token/class_token"] = FromTensors(
            (f"{prefix}{CLASS_TOKEN}",), lambda x: x[None, None]
        )
        epsilon = arguments["layer_norm_epsilon"]
        arguments["input_norm"] = keras.layers.LayerNormalization(
            epsilon=epsilon
        )
        weights |= from_tensors.norm("input_norm", f"{prefix}pre_layrnorm")
    positions = f"{prefix}embeddings.position_embedding.weight"
    weights["positions/position_embedding"] = FromTensors(
        (positions,), lambda x: x[None]
    )
    sides = vision.sides("image_size") or (DEFAULT_SIDE, DEFAULT_SIDE)
    grid, remarks = name_maps.grid_of_positions(
        (shapes[positions][0] - num_class_tokens,),
        position_grid,
        grid_of_sides(sides, arguments["patch_size"], None),
    )
    arguments |= {
        "num_class_tokens": num_class_tokens,
        "position_grid": grid,
        "position_interpolation": "bicubic",
    }
    return remarks


def _add_heads(shapes, prefix, kind, arguments, weights):
    """Adds pooling, projection and classifier; returns layers without bias."""
    classifier = "classifier.weight"
    arguments["num_classes"] = shapes.get(classifier, (0,))[0]
    if kind == "CLIP":
        if arguments["num_classes"]:
            raise PretrainedError(
                "CLIPForImageClassification averages tokens that have no norm "
                "behind the encoder; build_vit has no such head. Load the "
                "image tower and train a new head."
            )
        arguments["pooling"] = "class_token"
        if "visual_projection.weight" not in shapes:
            return ("patches/projection",)
        weights |= from_tensors.dense("representation", "visual_projection")
        arguments |= {
            "representation_dim": shapes["visual_projection.weight"][0],
            "representation_activation": "linear",
        }
        return ("patches/projection", "representation")
    if arguments["num_classes"]:
        weights |= from_tensors.dense("head", "classifier")
    has_pooling = f"{prefix}head.probe" in shapes
    if arguments["num_classes"] or not has_pooling:
        arguments["pooling"] = "mean"
        return ()
    arguments["pooling"] = "attention"
    weights |= _pooling(f"{prefix}head")
    return ()


def _pooling(theirs):
    attention = "pooling/attention"
    weights = {"pooling/probe": FromTensors((f"{theirs}.probe",))}
    for part, name in enumerate(("query", "key", "value")):
        weights |= from_tensors.projection_of_three(
            f"{attention}/{name}_projection",
            f"{theirs}.attention.in_proj_weight",
            f"{theirs}.attention.in_proj_bias",
            part,
        )
    weights |= from_tensors.dense(
        f"{attention}/output_projection", f"{theirs}.attention.out_proj"
    )
    ours = "pooling/feed_forward"
    weights |= from_tensors.norm(f"{ours}/norm", f"{theirs}.layernorm")
    for part, name in (("inner", "fc1"), ("output", "fc2")):
        weights |= from_tensors.dense(
            f"{ours}/layer/{part}_projection", f"{theirs}.mlp.{name}"
        )
    return weights


def _unused(shapes, prefix, arguments):
    """Names of tensors that no image needs, and remarks."""
    text = tuple(name for name in shapes if name.startswith(TEXT))
    remarks = ()
    if text:
        remarks = ("The tower of texts was left in the file.",)
    if arguments["pooling"] != "attention":
        head = f"{prefix}head."
        text += tuple(name for name in shapes if name.startswith(head))
    return text, remarks
