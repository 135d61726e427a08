"""A detector's outputs as boxes and segments."""

from keras_vtr.detections.checks import check_detections
from keras_vtr.detections.decoding import decode_detections
from keras_vtr.detections.segments import decode_segments

__all__ = ["decode_detections", "decode_segments", "check_detections"]
