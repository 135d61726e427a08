"""Pretrained weights that fit the task of the data."""

from keras_vtr.pretrained.files import open_weights
from keras_vtr.pretrained.loading import name_map_of


def name_map_for(task, path):
    """The `NameMap` of a file or folder of weights.

    Raises:
        ValueError: If they are of a model for another task.
    """
    name_map = name_map_of(open_weights(path))
    if name_map.task not in (None, task):
        raise ValueError(
            f"--model must be for {task}, the task of this data. Received: "
            f"--model {path} ({name_map.family}), for {name_map.task}"
        )
    return name_map
