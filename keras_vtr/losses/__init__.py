"""Losses, and the matching of queries and targets."""

from keras_vtr.losses import matching
from keras_vtr.losses.detr_terms import BoxTerm
from keras_vtr.losses.detr_terms import GIoUTerm
from keras_vtr.losses.detr_terms import LabelTerm
from keras_vtr.losses.detr_terms import RelativeBoxTerm
from keras_vtr.losses.detr_terms import detr_terms
from keras_vtr.losses.hungarian_loss import HungarianLoss
from keras_vtr.losses.logged_terms import CardinalityError
from keras_vtr.losses.logged_terms import ClassError
from keras_vtr.losses.mask_points import AllPixels
from keras_vtr.losses.mask_points import MaskPoints
from keras_vtr.losses.mask_points import UncertainPoints
from keras_vtr.losses.mask_terms import DiceTerm
from keras_vtr.losses.mask_terms import MaskCrossentropyTerm
from keras_vtr.losses.mask_terms import MaskFocalTerm
from keras_vtr.losses.pairs import Pairs
from keras_vtr.losses.segmentation_terms import eomt_terms
from keras_vtr.losses.segmentation_terms import mask_terms
from keras_vtr.losses.segmentation_terms import point_mask_terms
from keras_vtr.losses.sequence_crossentropy import SequenceCrossentropy
from keras_vtr.losses.sigmoid_terms import FocalTerm
from keras_vtr.losses.sigmoid_terms import IoUAwareTerm
from keras_vtr.losses.sigmoid_terms import sigmoid_terms
from keras_vtr.losses.terms import Term

__all__ = [
    "AllPixels",
    "BoxTerm",
    "CardinalityError",
    "ClassError",
    "DiceTerm",
    "FocalTerm",
    "GIoUTerm",
    "HungarianLoss",
    "IoUAwareTerm",
    "LabelTerm",
    "MaskCrossentropyTerm",
    "MaskFocalTerm",
    "MaskPoints",
    "Pairs",
    "RelativeBoxTerm",
    "SequenceCrossentropy",
    "Term",
    "UncertainPoints",
    "detr_terms",
    "eomt_terms",
    "mask_terms",
    "matching",
    "point_mask_terms",
    "sigmoid_terms",
]
