"""Data sets of images and targets for models and losses."""

from keras_vtr.data.augmentation import augment
from keras_vtr.data.classification_dataset import center_crop
from keras_vtr.data.classification_dataset import classification_dataset
from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.digits.layout import SceneLayout
from keras_vtr.data.digits.scenes import digit_scenes
from keras_vtr.data.digits.sources import load_digits
from keras_vtr.data.formats.class_folders import ClassificationRecords
from keras_vtr.data.formats.class_folders import read_class_folders
from keras_vtr.data.formats.coco import read_coco
from keras_vtr.data.formats.layouts import read_training_data
from keras_vtr.data.formats.layouts import register_layout
from keras_vtr.data.formats.panoptic import read_panoptic
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.records import DetectionRecords
from keras_vtr.data.formats.voc import read_voc
from keras_vtr.data.formats.yolo import read_yolo
from keras_vtr.data.inspection import inspect_records
from keras_vtr.data.order import batch_paths
from keras_vtr.data.own_augmentation import augment_on_host
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.sampling import RepeatFactorSampling
from keras_vtr.data.target_checks import check_dataset
from keras_vtr.targets import check_inputs
from keras_vtr.targets import check_targets

__all__ = [
    "decode_image",
    "read_coco",
    "read_panoptic",
    "read_voc",
    "read_yolo",
    "read_class_folders",
    "DetectionRecords",
    "ClassificationRecords",
    "AnnotationError",
    "read_training_data",
    "register_layout",
    "detection_dataset",
    "classification_dataset",
    "center_crop",
    "batch_paths",
    "inspect_records",
    "augment",
    "augment_on_host",
    "RepeatFactorSampling",
    "digit_scenes",
    "SceneLayout",
    "load_digits",
    "check_targets",
    "check_inputs",
    "check_dataset",
]
