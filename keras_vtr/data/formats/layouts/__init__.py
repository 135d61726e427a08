"""Finds out how a data folder is laid out, and reads its splits."""

from keras_vtr.data.formats.layouts.finding import DataFolder
from keras_vtr.data.formats.layouts.finding import find_splits
from keras_vtr.data.formats.layouts.finding import register_layout
from keras_vtr.data.formats.layouts.reading import TrainingData
from keras_vtr.data.formats.layouts.reading import read_split
from keras_vtr.data.formats.layouts.reading import read_training_data

__all__ = [
    "DataFolder",
    "find_splits",
    "register_layout",
    "TrainingData",
    "read_split",
    "read_training_data",
]
