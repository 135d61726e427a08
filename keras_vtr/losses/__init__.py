"""Predictions against ground truth."""

from keras_vtr.losses import matching
from keras_vtr.losses.hungarian_loss import HungarianLoss
from keras_vtr.losses.sequence_crossentropy import SequenceCrossentropy

__all__ = ["HungarianLoss", "SequenceCrossentropy", "matching"]
