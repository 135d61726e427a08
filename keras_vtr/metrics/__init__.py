"""Evaluation of detectors."""

from keras_vtr.detection_checks import check_detections
from keras_vtr.metrics.coco_average_precision import CocoAveragePrecision
from keras_vtr.metrics.panoptic_quality import PanopticQuality

__all__ = ["CocoAveragePrecision", "PanopticQuality", "check_detections"]
