"""Sizes of a detector's pictures, in evaluation as in training."""

READABLE_SIDE = 256  # pixels


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
