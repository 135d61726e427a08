"""Optimizers and schedules that Keras doesn't have."""

from keras_vtr.optimizers.averaged_weights import averaged_weights
from keras_vtr.optimizers.layerwise_decay import layerwise_decay
from keras_vtr.optimizers.multi_optimizer import MultiOptimizer
from keras_vtr.optimizers.noam_schedule import NoamSchedule

__all__ = [
    "MultiOptimizer",
    "layerwise_decay",
    "NoamSchedule",
    "averaged_weights",
]
