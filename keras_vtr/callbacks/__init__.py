"""Keras callbacks: checkpoints, skipped steps, pictures of what is found."""

from keras_vtr.callbacks.checkpoint import Checkpoint
from keras_vtr.callbacks.checkpoint_files import CheckpointError
from keras_vtr.callbacks.class_pictures import ClassPictures
from keras_vtr.callbacks.detection_pictures import DetectionPictures
from keras_vtr.callbacks.skip_non_finite import NonFiniteError
from keras_vtr.callbacks.skip_non_finite import SkipNonFinite

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "SkipNonFinite",
    "NonFiniteError",
    "DetectionPictures",
    "ClassPictures",
]
