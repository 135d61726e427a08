"""What a training run leaves: config.yaml, model.keras, checkpoints."""

import json
import pathlib

import keras
import yaml

from keras_vtr.detections import class_thresholds
from keras_vtr.json_text import json_text

CONFIG, MODEL = "config.yaml", "model.keras"
THRESHOLDS = "thresholds.json"
READABLE_SIDE = 256  # pixels


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


def has_padding_mask(model):
    """Whether pictures are padded for the model; else they are stretched."""
    return len(model.inputs) == 2


def scales(config, model):
    """What `keras_vtr.data.detection_dataset` takes, without cropping."""
    if has_padding_mask(model):
        return {key: config[key] for key in ("short_sides", "longest_side")}
    own = tuple(model.inputs[0].shape[1:3])
    if None not in own:
        return {"image_sizes": [own]}
    return {"image_sizes": [(side, side) for side in config["image_sides"]]}


def picture_size(config, model):
    """What `detect` and `export_detector` take, as in the evaluation."""
    sizes = scales(config, model)
    if "short_sides" in sizes:
        longest_side = sizes["longest_side"]
        short_side = max(sizes["short_sides"])
        return {"short_side": short_side, "longest_side": longest_side}
    is_free = None in model.inputs[0].shape[1:3]
    return {"image_size": sizes["image_sizes"][0]} if is_free else {}


def enlargement(config, model):
    """How many times small images are enlarged, so that text can be read."""
    sizes = scales(config, model)
    side = sizes.get("longest_side") or max(sizes["image_sizes"][0])
    return max(1, READABLE_SIDE // side)


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


def score_thresholds(folder, model, given, default):
    """The number that was given, else the run's thresholds, else the default.

    Says so if they are the run's.

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
    print(f"Thresholds of the classes: {path}")
    return thresholds
