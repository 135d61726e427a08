"""Keys of a ResNet's configuration, and which ResNets `build_resnet` makes."""

import re

from keras_vtr.backbones.resnet import BLOCKS
from keras_vtr.pretrained.transformers_keys import read_common_keys

# Plain ResNets. timm's resnetaa50 and resnetblur18 have the tensors of
# resnet50 and resnet18, but blur before they subsample.
PLAIN = (
    r"(microsoft/resnet-|(tv_|ssl_|swsl_)?resnet|gluon_resnet)"
    r"(18|26|34|50|101|152|200)(_v1b)?(\..*)?"
)
EXPECTED = {
    "model_type": ("resnet",),
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
    "The file doesn't have its architecture's name; assumed a plain ResNet, "
    "not timm's resnetaa50 or resnetblur18, whose tensors are the same."
)


def read_transformers_resnet(config, num_blocks, width, block, num_channels):
    """Uses the keys of a config.json of transformers, or of a part of one."""
    read_common_keys(config)
    _, num_widths = BLOCKS[block][-1]
    widths = [num_widths * width * 2**i for i in range(len(num_blocks))]
    shapes = {
        "layer_type": (block,),
        "depths": (list(num_blocks),),
        "embedding_size": (width,),
        "hidden_sizes": (widths,),
        "num_channels": (num_channels,),
    }
    config.expect(EXPECTED | shapes)


def read_timm_resnet(config):
    """Uses the keys of a config.json of timm; returns remarks."""
    names = ("architectures", "label_names", "label_descriptions", "tag")
    config.ignore(("num_classes", "num_features", "global_pool", *names))
    config.ignore(("pretrained_cfg",))  # its pixels are not a backbone's
    config.expect({"model_type": ("timm_wrapper",)})
    arguments = config.part("model_args")
    arguments.expect(ARGUMENTS_EXPECTED)
    arguments.ignore(ARGUMENTS_IGNORED)
    is_known = check_plain(config, "architecture")
    # timm's training saves it in the file of weights.
    is_known = check_plain(config.training, "arch") or is_known
    return () if is_known else (ASSUMED,)


def check_plain(config, key):
    """Whether the architecture is named; refuses all but plain ResNets."""
    name = config.get(key)
    if name is None:
        return False
    if not isinstance(name, str) or not re.fullmatch(PLAIN, name):
        raise config.error(
            key,
            "a plain ResNet, such as 'resnet50'; build_resnet makes no other",
        )
    return True
