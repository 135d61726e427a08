"""What the configuration of a ResNet says, and which one `build_resnet` is."""

import re

from keras_vtr.pretrained.transformers_keys import read_common_keys

# Bottlenecks without anything that no tensor shows: timm's resnetaa50 and
# resnetblur50, of equal tensors, blur before they skip pixels.
PLAIN = (
    r"(microsoft/resnet-|(tv_|ssl_|swsl_)?resnet|gluon_resnet)"
    r"(26|50|101|152|200)(_v1b)?(\..*)?"
)
EXPECTED = {
    "model_type": ("resnet",),
    "layer_type": ("bottleneck",),
    "hidden_act": ("relu",),
    "downsample_in_first_stage": (False,),
    "downsample_in_bottleneck": (False,),
}
# Of timm's `model_args`.
ARGUMENTS_EXPECTED = {"output_stride": (32,), "act_layer": ("relu",)}
ARGUMENTS_IGNORED = (
    "num_classes in_chans global_pool drop_rate drop_path_rate "
    "drop_block_rate zero_init_last pretrained"
).split()
ASSUMED = (
    "The file doesn't tell its architecture; assumed a plain ResNet, "
    "not timm's resnetaa50 or resnetblur50, whose tensors are the same."
)


def read_transformers_resnet(config, num_blocks, width, num_channels):
    """Accounts for a config.json, or a part of one, of transformers."""
    read_common_keys(config)
    widths = [4 * width * 2**i for i in range(len(num_blocks))]
    shapes = {
        "depths": (list(num_blocks),),
        "embedding_size": (width,),
        "hidden_sizes": (widths,),
        "num_channels": (num_channels,),
    }
    config.expect(EXPECTED | shapes)


def read_timm_resnet(config):
    """Accounts for a config.json of timm's; returns remarks."""
    names = ("architectures", "label_names", "label_descriptions", "tag")
    config.ignore(("num_classes", "num_features", "global_pool", *names))
    config.ignore(("pretrained_cfg",))  # its pixels are not a backbone's
    config.expect({"model_type": ("timm_wrapper",)})
    arguments = config.part("model_args")
    arguments.expect(ARGUMENTS_EXPECTED)
    arguments.ignore(ARGUMENTS_IGNORED)
    is_told = check_plain(config, "architecture")
    # timm's own training notes it in the file of weights.
    is_told = check_plain(config.training, "arch") or is_told
    return () if is_told else (ASSUMED,)


def check_plain(config, key):
    """Whether the name of an architecture is known, and of a plain ResNet."""
    name = config.get(key)
    if name is None:
        return False
    if not isinstance(name, str) or not re.fullmatch(PLAIN, name):
        raise config.error(
            key,
            "a plain ResNet with bottlenecks, such as 'resnet50': all that "
            "build_resnet computes",
        )
    return True
