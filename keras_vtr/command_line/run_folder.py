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


def score_thresholds(folder, model, given, default, printer):
    """The number that was given, else the run's thresholds, else the default.

    It reports if they are the run's.

    Raises:
        ValueError: If the run's are not those of the model's classes.
    """
    path = pathlib.Path(folder) / THRESHOLDS
    if given is not None or not path.exists():
        return default if given is None else given
    names = model.class_names
    try:
        thresholds = json.loads(path.read_text())
        class_thresholds(thresholds, model.num_classes, names)
    except ValueError as error:  # also of what is no JSON
        raise ValueError(
            f"{path}: {error}. Write it with `keras-vtr evaluate {folder} "
            "--thresholds best`, or give --score-threshold."
        ) from error
    printer.report(
        "thresholds", f"Thresholds of the classes: {path}", path=str(path)
    )
    return thresholds
