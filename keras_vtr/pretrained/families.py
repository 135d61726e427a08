"""The families of tensor names that are known; users add more."""

import inspect

from keras_vtr.pretrained.detr import names as detr
from keras_vtr.pretrained.eomt import names as eomt
from keras_vtr.pretrained.resnet import names as resnet
from keras_vtr.pretrained.rf_detr import names as rf_detr
from keras_vtr.pretrained.vit import dinov3
from keras_vtr.pretrained.vit import google
from keras_vtr.pretrained.vit import hugging_face
from keras_vtr.pretrained.vit import image_towers
from keras_vtr.pretrained.vit import lookalikes
from keras_vtr.pretrained.vit.timm import names as timm
from keras_vtr.pretrained.yolos import names as yolos

# In any order: each recognizes its own files alone (test_recognition.py).
FAMILIES = [
    google,
    timm,
    hugging_face,
    image_towers,
    dinov3,
    lookalikes,
    eomt,
    detr,
    rf_detr,
    yolos,
    resnet,
]


def register(family):
    """Adds a family of pretrained weights: files with one scheme of names.

    `from_pretrained` and `load_weights` then read its files with the same
    strict checks. The family added last is tried first.

    Args:
        family: An object, such as a module or an instance, with two functions.
            `recognize(shapes)` returns whether a file is of this family;
            `shapes` is a dict of each tensor's name, without the prefix that
            all names share, to its shape. `read(shapes, config,
            position_grid=None)` returns a `keras_vtr.pretrained.NameMap`, or
            for our models a `VitNameMap` or a `DetrNameMap`, which resize
            positions and make new heads. `config` is config.json, empty if
            there is none. Its methods `get`, `flag`, `integer`, `number`,
            `numbers`, `choice`, `sides` (of an image) and `part` (a dict
            within the dict) take a key, check the value's type and return it,
            or a default (`REQUIRED`, of `keras_vtr.pretrained.configuration`:
            an error). `expect` names the only values that the model computes,
            `ignore` the keys that don't change what it computes, `disregard`
            ignores the complete file. A key that none of them named is an
            error. `config.preprocessor` is the same for
            preprocessor_config.json.

    Returns:
        The family, so that `register` can decorate a class.

    Raises:
        ValueError: If `family` lacks one of the functions.

    Example:

    >>> class Mine:
    ...     def recognize(shapes):
    ...         return "mine.weight" in shapes
    ...
    ...     def read(shapes, config, position_grid=None):
    ...         weights = keras_vtr.pretrained.dense("head", "mine")
    ...         arguments = {"num_classes": shapes["mine.weight"][0]}
    ...         return keras_vtr.pretrained.NameMap("Mine", arguments, weights)
    >>> family = keras_vtr.pretrained.register(Mine)
    """
    for name, arguments in (("recognize", 1), ("read", 2)):
        function = getattr(family, name, None)
        if not callable(function) or not _takes(function, arguments):
            raise ValueError(
                f"`family` must have a function {name!r}; see "
                "keras_vtr.pretrained.register for its arguments, and give an "
                "instance of a class with methods. Received: "
                f"family={family!r}"
            )
    if family in FAMILIES:
        FAMILIES.remove(family)
    FAMILIES.insert(0, family)
    return family


def _takes(function, count):
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def family_of(shapes):
    """The first family that recognizes a file; None if none does."""
    return next((x for x in FAMILIES if x.recognize(shapes)), None)


def unknown_names(shapes, model_type):
    """Names that keep a file out of the family that its settings name.

    Only transformers' ViTs are recognized by all of their names, since other
    models have these names and more.
    """
    known = isinstance(model_type, str) and model_type in hugging_face.NORMS
    return hugging_face.unknown_names(shapes) if known else []
