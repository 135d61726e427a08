"""Predictions against ground truth."""

from keras_vtr.losses import matching
from keras_vtr.losses.hungarian_loss import HungarianLoss

__all__ = ["HungarianLoss", "matching"]
