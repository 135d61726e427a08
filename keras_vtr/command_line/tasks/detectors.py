"""The detector that `keras-vtr train` trains, and its authors' recipe."""

from keras_vtr.command_line.tasks.pretrained import name_map_for
from keras_vtr.command_line.tasks.sizes import has_padding_mask
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.models import build_detr
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
    check_options(model, image_sides, no_groups)
    if model != "small":
        if num_queries is not None:
            names["num_queries"] = num_queries
        if _takes_padding(model):
            names["padding"] = "exact"
        elif image_sides is not None:
            is_one = len(image_sides) == 1
            side = image_sides[0] if is_one else None
            names["image_shape"] = (side, side, 3)
        if masks:  # which a YOLOS can't have
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


def check_options(model, image_sides, no_groups):
    """Refuses options of RF-DETR for another model."""
    given = {"--image-sides": image_sides, "--no-groups": no_groups}
    given = {name: x for name, x in given.items() if x}
    if given and (model == "small" or _takes_padding(model)):
        raise ValueError(
            f"{' and '.join(given)} must only be given with an RF-DETR, whose "
            f"images are stretched. Received: --model {model}"
        )
    if image_sides is not None and min(image_sides) < 1:
        raise ValueError(
            "--image-sides must be pixels, 1 or more, multiples of the patch "
            f"size. Received: {image_sides}"
        )


def _takes_padding(model):
    return name_map_for("detection", model).takes_padding


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
