"""Images and targets, as models and losses expect them."""

from keras_vtr.data.augmentation import augment
from keras_vtr.data.coco import AnnotationError
from keras_vtr.data.coco import CocoDataset
from keras_vtr.data.coco import read_coco
from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.digit_scenes import digit_scenes
from keras_vtr.data.digit_scenes import load_digits
from keras_vtr.data.image_decoding import decode_image
from keras_vtr.data.target_checks import check_dataset
from keras_vtr.targets import check_inputs
from keras_vtr.targets import check_targets

__all__ = [
    "decode_image",
    "read_coco",
    "CocoDataset",
    "AnnotationError",
    "detection_dataset",
    "augment",
    "digit_scenes",
    "load_digits",
    "check_targets",
    "check_inputs",
    "check_dataset",
]
