"""Reusable Keras layers for vision transformers.

The sub-packages, in the order data flows: `data`, `layers`, `backbones`,
`models`, `pretrained`, `detections` and `losses` (on `box_ops`), `metrics`,
`evaluation`, `optimizers`, `training`, `callbacks`, `visualization`, `serving`.

`import keras_vtr` imports those whose classes are saved within a model, because
Keras must know them to load it. The others, and TensorFlow's data sets, Pillow
and pycocotools with them, are imported when they are first used (PEP 562).
`keras_vtr.detect` and `segment` are those of `detections`.
"""

import importlib

from keras_vtr import backbones
from keras_vtr import box_ops
from keras_vtr import layers
from keras_vtr import losses
from keras_vtr import models
from keras_vtr import optimizers
from keras_vtr.version import __version__

__all__ = [
    "data",
    "layers",
    "backbones",
    "models",
    "pretrained",
    "box_ops",
    "detections",
    "detect",
    "segment",
    "losses",
    "metrics",
    "evaluation",
    "optimizers",
    "training",
    "callbacks",
    "visualization",
    "serving",
    "__version__",
]


def __getattr__(name):
    if name in ("detect", "segment"):
        return getattr(importlib.import_module("keras_vtr.detections"), name)
    if name in __all__:
        return importlib.import_module(f"keras_vtr.{name}")
    raise AttributeError(f"module 'keras_vtr' has no attribute {name!r}")


def __dir__():
    return __all__
