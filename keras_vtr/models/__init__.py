"""Layers wired into models with the functional API."""

from keras_vtr.detections import decode_detections
from keras_vtr.detections import decode_segments
from keras_vtr.models.detr.denoising import add_denoising
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.detr import build_detr
from keras_vtr.models.detr.groups import add_groups
from keras_vtr.models.detr.rf_detr import build_rf_detr
from keras_vtr.models.eomt.eomt import build_eomt
from keras_vtr.models.named_model import NamedModel
from keras_vtr.models.transformer.generation import build_generator
from keras_vtr.models.transformer.sequence_model import SequenceModel
from keras_vtr.models.transformer.transformer import build_transformer
from keras_vtr.models.vit.vit import build_vit
from keras_vtr.models.yolos.yolos import build_yolos
from keras_vtr.strict_model import StrictModel

__all__ = [
    "build_vit",
    "build_detr",
    "build_rf_detr",
    "build_eomt",
    "build_yolos",
    "build_transformer",
    "build_generator",
    "add_denoising",
    "add_groups",
    "DetectionModel",
    "NamedModel",
    "SequenceModel",
    "StrictModel",
    "decode_detections",
    "decode_segments",
]
