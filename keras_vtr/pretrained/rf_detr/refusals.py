"""Relatives of RF-DETR whose files look like its own."""

from keras_vtr.pretrained.tensor_file import PretrainedError

KNOWN = "The sizes of keras_vtr.models.build_rf_detr can be loaded."


def refuse_others(shapes, config, patches):
    """Names what a file is, if it is none of the models that are built."""
    kind = config.get("model_type")
    kernel = shapes.get(f"{patches}.weight")
    if kind not in (None, "rf_detr") or kernel is None:
        found = "an LW-DETR" if kind in (None, "lw_detr") else f"a {kind!r}"
        raise PretrainedError(
            f"{config.place.parent} holds {found}, whose names are nearly "
            f"RF-DETR's and whose ViT is another one. {KNOWN}"
        )
    problem = None
    if any(name.startswith("keypoint") for name in shapes):
        problem = "is a keypoint model"
    elif kernel[-1] == 20:
        problem = (
            "has patches of 20 pixels, as the XL and 2XL sizes, whose license "
            "is PML-1.0, not Apache-2.0"
        )
    elif any(".projector.stages.1." in name for name in shapes):
        problem = (
            "has feature maps of several sizes, as the deprecated first 'large'"
        )
    if problem:
        raise PretrainedError(
            f"{config.place.parent} holds an RF-DETR that {problem}. {KNOWN}"
        )
