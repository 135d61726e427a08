"""Published recipes: model, loss, optimizer and schedule meet here."""

from keras_vtr.training.determinism import enable_determinism
from keras_vtr.training.detr import compile_detr

__all__ = ["compile_detr", "enable_determinism"]
