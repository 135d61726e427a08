"""Images and targets, as models and losses expect them."""

from keras_vtr.data.digit_scenes import digit_scenes
from keras_vtr.data.target_checks import check_dataset
from keras_vtr.targets import check_targets

__all__ = ["digit_scenes", "check_targets", "check_dataset"]
