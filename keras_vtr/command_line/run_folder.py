"""What a training run leaves: config.yaml, model.keras, checkpoints."""

import json
import pathlib

import keras
import yaml

from keras_vtr.detections import class_thresholds
from keras_vtr.json_text import json_text

CONFIG, MODEL = "config.yaml", "model.keras"
THRESHOLDS = "thresholds.json"


def check_config(folder, config):
    """Refuses other options than those of the run in this folder.

    Raises:
        ValueError: If it was begun with others.
    """
    path = pathlib.Path(folder) / CONFIG
    if not path.exists():
        return
    before = read_config(folder)
    differing = [
        f"{key}: {before.get(key)!r}, now {config.get(key)!r}"
        for key in {**before, **config}
        if before.get(key) != config.get(key)
    ]
    if differing:
        raise ValueError(
            f"{path} says that this run was begun with other options: "
            f"{'; '.join(differing)}. Give those, or another --output."
        )


def write_config(folder, config):
    """Writes the options of a run."""
    path = pathlib.Path(folder) / CONFIG
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_suffix(".writing")
    hidden.write_text(yaml.safe_dump(config, sort_keys=False))
    hidden.rename(path)


def read_config(folder):
    """The options of a run.

    Raises:
        FileNotFoundError: If the folder is none of a run.
    """
    path = pathlib.Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: {folder} is not the --output of `keras-vtr "
            "train`."
        )
    return yaml.safe_load(path.read_text())


def load_model(folder):
    """The model that a finished run has left.

    Raises:
        OSError: If there is none.
    """
    path = pathlib.Path(folder) / MODEL
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: a run writes it at its end. Run `keras-vtr "
            "train` once more with the same options, and it goes on."
        )
    return keras.models.load_model(path, compile=False)


def write_thresholds(folder, thresholds):
    """Writes the least score of each class, by name; returns the path."""
    path = pathlib.Path(folder) / THRESHOLDS
    hidden = path.with_suffix(".writing")
    hidden.write_text(json_text(thresholds))
    return hidden.rename(path)


def read_thresholds(folder, model, printer):
    """The least scores of a run's classes, and says so; None without any.

    Raises:
        ValueError: If they are not those of the model's classes.
    """
    path = pathlib.Path(folder) / THRESHOLDS
    if not path.exists():
        return None
    try:
        thresholds = json.loads(path.read_text())
        class_thresholds(thresholds, model.num_classes, model.class_names)
    except ValueError as error:  # also of what is no JSON
        raise ValueError(
            f"{path}: {error}. Write it with `keras-vtr evaluate {folder} "
            "--thresholds best`, or give --score-threshold."
        ) from error
    text = f"Thresholds of the classes: {path}"
    printer.report("thresholds", text, path=str(path))
    return thresholds
