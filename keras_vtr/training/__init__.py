"""Training recipes of papers: loss, optimizer and schedule of a model."""

from keras_vtr.training.determinism import enable_determinism
from keras_vtr.training.detr import compile_detr

__all__ = ["compile_detr", "enable_determinism"]
