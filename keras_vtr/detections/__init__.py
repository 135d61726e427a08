"""A detector's outputs as boxes and segments; `detect`, from pictures on."""

from keras_vtr.detections.decoding import decode_detections
from keras_vtr.detections.masks import decode_masks
from keras_vtr.detections.masks import encode_masks
from keras_vtr.detections.segments import decode_segments

__all__ = [
    "detect",
    "decode_detections",
    "decode_masks",
    "encode_masks",
    "decode_segments",
]


def __getattr__(name):
    if name == "detect":  # reads pictures with TensorFlow: on first use only
        from keras_vtr.detections.detecting import detect

        return detect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
