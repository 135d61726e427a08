"""Other people's weights: safe readers, name maps, strict loading."""

from keras_vtr.checkpoints.assignment import LoadReport
from keras_vtr.checkpoints.loading import from_pretrained
from keras_vtr.checkpoints.loading import load_weights
from keras_vtr.checkpoints.tensor_file import CheckpointError

__all__ = ["from_pretrained", "load_weights", "LoadReport", "CheckpointError"]
