"""Layers wired into models with the functional API."""

from keras_vtr.box_ops import decode_detections
from keras_vtr.models.denoising import add_denoising
from keras_vtr.models.detection_model import DetectionModel
from keras_vtr.models.detr import build_detr
from keras_vtr.models.generation import build_generator
from keras_vtr.models.named_model import NamedModel
from keras_vtr.models.panoptic import decode_segments
from keras_vtr.models.sequence_model import SequenceModel
from keras_vtr.models.transformer import build_transformer
from keras_vtr.models.vit import build_vit
from keras_vtr.strict_model import StrictModel

__all__ = [
    "build_vit",
    "build_detr",
    "build_transformer",
    "build_generator",
    "add_denoising",
    "DetectionModel",
    "NamedModel",
    "SequenceModel",
    "StrictModel",
    "decode_detections",
    "decode_segments",
]
