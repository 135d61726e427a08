"""Published recipes: model, loss, optimizer and schedule meet here."""

from keras_vtr.training.detr import compile_detr

__all__ = ["compile_detr"]
