"""Exports Keras models for servers and other runtimes."""

from keras_vtr.serving.classifier import export_classifier
from keras_vtr.serving.classifier import export_features
from keras_vtr.serving.detector import export_detector
from keras_vtr.serving.segmenter import export_segmenter
from keras_vtr.serving.self_check import SelfCheckError

__all__ = [
    "export_detector",
    "export_segmenter",
    "export_classifier",
    "export_features",
    "SelfCheckError",
]
