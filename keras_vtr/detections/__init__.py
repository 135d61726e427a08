"""A detector's outputs as boxes and segments.

`detect` and `segment` do it from pictures on.
"""

import importlib
import typing

from keras_vtr.detections.decoding import decode_detections
from keras_vtr.detections.masks import decode_masks
from keras_vtr.detections.masks import encode_masks
from keras_vtr.detections.segments import decode_segments
from keras_vtr.detections.thresholds import class_thresholds
from keras_vtr.detections.tiles import Tiles

__all__ = [
    "detect",
    "segment",
    "Tiles",
    "decode_detections",
    "decode_masks",
    "encode_masks",
    "decode_segments",
    "class_thresholds",
]


if typing.TYPE_CHECKING:  # what editors and the docs read
    from keras_vtr.detections.detecting import detect
    from keras_vtr.detections.segmenting import segment

# They read pictures with TensorFlow: on first use only.
ON_USE = {"detect": "detecting", "segment": "segmenting"}


def __getattr__(name):
    if name in ON_USE:
        path = f"keras_vtr.detections.{ON_USE[name]}"
        return getattr(importlib.import_module(path), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
