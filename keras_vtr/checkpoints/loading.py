"""Other people's weights in our models: strictly, or not at all."""

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.checkpoints import google
from keras_vtr.checkpoints import hugging_face
from keras_vtr.checkpoints import timm
from keras_vtr.checkpoints.assignment import assign_weights
from keras_vtr.checkpoints.assignment import check_settings
from keras_vtr.checkpoints.sources import open_checkpoint
from keras_vtr.checkpoints.tensor_file import CheckpointError
from keras_vtr.models import build_vit

LAYOUTS = (google, timm, hugging_face)


def from_pretrained(
    source,
    *,
    num_classes=None,
    image_shape=None,
    revision=None,
    sha256=None,
    verbose=True,
    **arguments,
):
    """Builds the model that a checkpoint was made by, with its weights.

    Knows Google's `.npz` files (Dosovitskiy et al. 2020; Steiner et al. 2021),
    timm's safetensors, and Hugging Face's folders: ViT, DeiT (distilled too),
    DINOv2 (with registers too), and the hybrids with a ResNet. What a file is
    is read from its content.

    Args:
        source: Path of a file or folder, or "hf://organization/name" (needs
            `pip install huggingface-hub`). `.pth` and `.bin` need
            `torch>=2.10`; prefer safetensors.
        num_classes: Default: the checkpoint's own head. A number makes a new
            head of zeros (Dosovitskiy et al. 2020, section 3.2); 0 leaves the
            head out.
        image_shape: (height, width, channels). Default: what the checkpoint
            was trained at. Positions are resized for others, as its family
            does it: bilinearly (Google) or bicubically (with antialiasing:
            timm, DINOv2 with registers). With None for height and width they
            are resized in the graph, for each image size anew.
        revision: Commit, branch or tag on the hub; a commit pins what you get.
        sha256: Digest in hexadecimal that the file of weights must have.
        verbose: Whether to print what was loaded and what wasn't.
        **arguments: Of `keras_vtr.models.build_vit`, over what the checkpoint
            says: `dropout`, `stochastic_depth`, `pixel_mean`, `name`, ...
            `num_heads` for a timm file of unusual width without config.json.

    Returns:
        A functional model, as from `keras_vtr.models.build_vit`. Pixels are
        normalized in its first layer as the checkpoint was trained.

    Raises:
        CheckpointError: If the checkpoint is broken, unsafe, or asks for
            something that `build_vit` doesn't have; a `ValueError`.
    """
    checkpoint = open_checkpoint(source, revision, sha256)
    recipe = _recipe(checkpoint, arguments.pop("position_grid", None))
    own_classes = recipe.arguments["num_classes"]
    new_head = num_classes is not None and num_classes != own_classes
    num_channels = recipe.num_channels(checkpoint.shapes)
    model = _build(recipe, num_channels, num_classes, image_shape, arguments)
    report = assign_weights(model, checkpoint, recipe, new_head)
    if verbose:
        print(report)
    return model


def load_weights(model, source, *, new_head=False, revision=None, sha256=None):
    """Fills a model that exists with the weights of a checkpoint.

    Args:
        model: From `keras_vtr.models.build_vit`, or made of the same layers
            under the same names.
        source: As in `from_pretrained`.
        new_head: If True, the model's head is set to zeros and the
            checkpoint's is left out. A model without head always leaves it.
        revision: As in `from_pretrained`.
        sha256: As in `from_pretrained`.

    Returns:
        A `LoadReport`.

    Raises:
        CheckpointError: If a weight of the model isn't in the checkpoint, or a
            tensor of the checkpoint has no place in the model, or their shapes
            differ, or the model computes with other settings than those that
            the weights were trained for. Nothing is changed then.
    """
    checkpoint = open_checkpoint(source, revision, sha256)
    recipe = _recipe(checkpoint)
    check_settings(model, checkpoint, recipe)
    return assign_weights(model, checkpoint, recipe, new_head)


def _recipe(checkpoint, position_grid=None):
    for layout in LAYOUTS:
        if layout.recognize(checkpoint.shapes):
            try:
                return layout.recipe(
                    checkpoint.shapes, checkpoint.config, position_grid
                )
            except KeyError as error:
                raise CheckpointError(
                    f"{checkpoint} lacks {error}, which every checkpoint of "
                    f"its kind ({layout.__name__.split('.')[-1]}) has."
                ) from error
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                raise CheckpointError(f"{checkpoint}: {error}") from error
    raise CheckpointError(
        f"{checkpoint} holds no model that is known here. Known are ViT, DeiT, "
        "DINOv2 and ViT's hybrids, as Google, timm and Hugging Face name their "
        f"tensors. It has {sorted(checkpoint.shapes)[:5]} ..."
    )


def _build(recipe, num_channels, num_classes, image_shape, arguments):
    arguments = {**recipe.arguments, **arguments}
    if num_classes is not None:
        arguments["num_classes"] = num_classes
        if num_classes == 0:
            arguments["distilled"] = False
    if arguments.get("num_heads") is None:
        raise CheckpointError(
            "The arrays don't tell the number of heads, and a width of "
            f"{arguments['hidden_dim']} is no usual one. Give `num_heads`."
        )
    grid = arguments.get("position_grid", (14, 14))
    if image_shape is None:
        sides = (side * recipe.stride for side in grid)
        image_shape = (*sides, num_channels)
    if None not in image_shape[:2]:
        arguments.pop("position_grid", None)  # the image's own
    if recipe.bit_resnet is not None:
        arguments["backbone"] = build_bit_resnet(
            image_shape, **recipe.bit_resnet
        )
    return build_vit(image_shape=image_shape, **arguments)
