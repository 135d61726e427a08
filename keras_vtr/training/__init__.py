"""Training recipes of papers: loss, optimizer and schedule of a model."""

from keras_vtr.training.determinism import enable_determinism
from keras_vtr.training.detr import compile_detr
from keras_vtr.training.rf_detr import compile_rf_detr
from keras_vtr.training.rf_detr import rf_detr_image_sizes
from keras_vtr.training.rf_detr import rf_detr_loss
from keras_vtr.training.vit import compile_vit

__all__ = [
    "compile_vit",
    "compile_detr",
    "compile_rf_detr",
    "rf_detr_loss",
    "rf_detr_image_sizes",
    "enable_determinism",
]
