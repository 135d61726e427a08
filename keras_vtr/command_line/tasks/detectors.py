"""The detector that `keras-vtr train` trains, and its authors' recipe."""

from keras_vtr.command_line.tasks.pretrained import name_map_for
from keras_vtr.command_line.tasks.sizes import has_padding_mask
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.models import build_detr
from keras_vtr.pretrained import NameMap
from keras_vtr.pretrained import add_pretrained_groups
from keras_vtr.pretrained import from_pretrained
from keras_vtr.training import compile_detr
from keras_vtr.training import compile_rf_detr

# Options that `compile_detr` and `compile_rf_detr` take.
RECIPE = (
    "learning_rate",
    "backbone_learning_rate",
    "use_ema",
    "gradient_accumulation_steps",
)


def build(
    class_names, *, model, num_queries, masks, image_sides, no_groups, **_
):
    """The detector, pretrained or with random weights."""
    names = {"num_classes": len(class_names), "class_names": class_names}
    takes = _check_options(model, num_queries, masks, image_sides, no_groups)
    if model != "small":
        if num_queries is not None:
            names["num_queries"] = num_queries
        if "padding" in takes:
            names["padding"] = "exact"
        elif image_sides is not None:
            is_one = len(image_sides) == 1
            side = image_sides[0] if is_one else None
            names["image_shape"] = (side, side, 3)
        if masks:
            names["masks"] = True
        return from_pretrained(model, **names)
    return build_detr(
        **names,
        size="small",
        padding="published",
        queries="anchors",
        num_queries=NUM_QUERIES if num_queries is None else num_queries,
        masks=masks,
    )


def _check_options(model, num_queries, masks, image_sides, no_groups):
    """Refuses options of another model; returns the arguments that it takes."""
    takes, family = NameMap.takes, "of random weights"
    if model != "small":
        name_map = name_map_for("detection", model)
        takes, family = name_map.takes, name_map.family
    given = {"--image-sides": image_sides, "--no-groups": no_groups}
    given = [name for name, x in given.items() if x]
    if given and "padding" in takes:
        raise ValueError(
            f"{' and '.join(given)} must only be given with an RF-DETR, whose "
            f"images are stretched. Received: --model {model}"
        )
    given = {"masks": masks or None, "num_queries": num_queries}
    for name, value in given.items():
        if value is not None and name not in takes:
            raise ValueError(
                f"--{name.replace('_', '-')} must be left out with this model, "
                f"which has none. Received: --model {model} ({family})"
            )
    if image_sides is not None and min(image_sides) < 1:
        raise ValueError(
            "--image-sides must be pixels, 1 or more, multiples of the patch "
            f"size. Received: {image_sides}"
        )
    return takes


def compile_with_recipe(detr, steps, options):
    """The compiled model to train, with its authors' recipe."""
    recipe = {name: options[name] for name in RECIPE}
    recipe = {name: x for name, x in recipe.items() if x is not None}
    if has_padding_mask(detr):
        epochs = options["epochs"]
        return compile_detr(detr, steps, epochs=epochs, **recipe)[0]
    model = detr
    if not options["no_groups"]:
        model = add_pretrained_groups(detr, options["model"])
    return compile_rf_detr(model, **recipe)
