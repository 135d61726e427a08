"""Evaluation of detectors."""

from keras_vtr.detection_checks import check_detections
from keras_vtr.metrics.coco_average_precision import CocoAveragePrecision

__all__ = ["CocoAveragePrecision", "check_detections"]
