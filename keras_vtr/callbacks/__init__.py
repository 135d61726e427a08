"""What watches over a training run."""

from keras_vtr.callbacks.checkpoint import Checkpoint
from keras_vtr.callbacks.checkpoint_files import CheckpointError

__all__ = ["Checkpoint", "CheckpointError"]
