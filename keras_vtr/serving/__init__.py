"""From a Keras model to a SavedModel for TF Serving."""

from keras_vtr.serving.export import export_detector

__all__ = ["export_detector"]
