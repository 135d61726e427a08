"""Judges of detectors."""

from keras_vtr.metrics.coco_average_precision import CocoAveragePrecision

__all__ = ["CocoAveragePrecision"]
