"""Keras callbacks: checkpoints, skipped steps, ends, pictures."""

from keras_vtr.callbacks.checkpoint import Checkpoint
from keras_vtr.callbacks.checkpoint_files import CheckpointError
from keras_vtr.callbacks.class_pictures import ClassPictures
from keras_vtr.callbacks.detection_pictures import DetectionPictures
from keras_vtr.callbacks.early_stopping import EarlyStopping
from keras_vtr.callbacks.skip_non_finite import NonFiniteError
from keras_vtr.callbacks.skip_non_finite import SkipNonFinite
from keras_vtr.callbacks.time_limit import TimeLimit
from keras_vtr.callbacks.time_limit import TimeLimitReached

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "SkipNonFinite",
    "NonFiniteError",
    "EarlyStopping",
    "TimeLimit",
    "TimeLimitReached",
    "DetectionPictures",
    "ClassPictures",
]
