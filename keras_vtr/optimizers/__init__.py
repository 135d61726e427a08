"""Optimizers that Keras doesn't have."""

from keras_vtr.optimizers.layerwise_decay import layerwise_decay
from keras_vtr.optimizers.multi_optimizer import MultiOptimizer

__all__ = ["MultiOptimizer", "layerwise_decay"]
