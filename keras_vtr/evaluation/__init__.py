"""Reports: what a model does right and wrong, and why."""

from keras_vtr.evaluation.classification_report import ClassificationReport
from keras_vtr.evaluation.detection_report import DetectionReport
from keras_vtr.evaluation.evaluating import evaluate_detections
from keras_vtr.evaluation.evaluating import evaluate_detector

__all__ = [
    "evaluate_detector",
    "evaluate_detections",
    "DetectionReport",
    "ClassificationReport",
]
