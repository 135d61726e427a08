"""Other people's weights: safe readers, name maps, strict loading."""

from keras_vtr.pretrained.assignment import LoadReport
from keras_vtr.pretrained.detr.name_map import DetrNameMap
from keras_vtr.pretrained.families import register
from keras_vtr.pretrained.from_tensors import FromTensors
from keras_vtr.pretrained.from_tensors import convolution
from keras_vtr.pretrained.from_tensors import dense
from keras_vtr.pretrained.from_tensors import norm
from keras_vtr.pretrained.loading import from_pretrained
from keras_vtr.pretrained.loading import load_weights
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.rf_detr.groups import add_pretrained_groups
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.vit.name_map import VitNameMap

__all__ = [
    "from_pretrained",
    "load_weights",
    "add_pretrained_groups",
    "LoadReport",
    "PretrainedError",
    "register",
    "NameMap",
    "VitNameMap",
    "DetrNameMap",
    "FromTensors",
    "dense",
    "norm",
    "convolution",
]
