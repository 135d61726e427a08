"""Whose names of tensors are known, and how a user adds more of them."""

from keras_vtr.pretrained.detr import names as detr
from keras_vtr.pretrained.resnet import names as resnet
from keras_vtr.pretrained.vit import google
from keras_vtr.pretrained.vit import hugging_face
from keras_vtr.pretrained.vit.timm import names as timm

FAMILIES = [google, timm, hugging_face, detr, resnet]


def register(family):
    """Adds a family of pretrained weights, asked before those known so far.

    `from_pretrained` and `load_weights` then read its files with the same
    checks: every weight of the model and every tensor of the file has its
    counterpart, and each key of config.json is read, expected or ignored.

    Args:
        family: An object, such as a module or an instance, with two functions.
            `recognize(shapes)`, from a dict of each tensor's name to its shape,
            tells whether a file is of this family; names are without the
            prefix that all have in common. `read(shapes, config,
            position_grid=None)` returns a `keras_vtr.pretrained.NameMap` (or a
            `VitNameMap` or a `DetrNameMap`, which know how to resize positions
            and to make a new head); `config` is what config.json says.

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
    for name in ("recognize", "read"):
        if not callable(getattr(family, name, None)):
            raise ValueError(
                f"`family` must have a function {name!r}; see "
                "keras_vtr.pretrained.register for its arguments. Received: "
                f"family={family!r}"
            )
    if family not in FAMILIES:
        FAMILIES.insert(0, family)
    return family


def family_of(shapes):
    """The first family that recognizes a file; None if none does."""
    return next((x for x in FAMILIES if x.recognize(shapes)), None)
