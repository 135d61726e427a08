"""Reusable Keras layers for vision transformers.

The sub-packages, in the order data flows: `data`, `layers`, `backbones`,
`models`, `checkpoints`, `losses` (on `box_ops`), `metrics`, `optimizers`,
`training`, `callbacks`, `visualization`, `serving`.
"""

from keras_vtr import backbones
from keras_vtr import box_ops
from keras_vtr import callbacks
from keras_vtr import checkpoints
from keras_vtr import data
from keras_vtr import layers
from keras_vtr import losses
from keras_vtr import metrics
from keras_vtr import models
from keras_vtr import optimizers
from keras_vtr import serving
from keras_vtr import training
from keras_vtr import visualization
from keras_vtr.version import __version__

__all__ = [
    "data",
    "layers",
    "backbones",
    "models",
    "checkpoints",
    "box_ops",
    "losses",
    "metrics",
    "optimizers",
    "training",
    "callbacks",
    "visualization",
    "serving",
    "__version__",
]
