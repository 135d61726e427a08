"""Other people's weights in our models: strictly, or not at all."""

import dataclasses

import keras
import numpy as np

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.checkpoints import google
from keras_vtr.checkpoints import hugging_face
from keras_vtr.checkpoints import timm
from keras_vtr.checkpoints.sources import open_checkpoint
from keras_vtr.checkpoints.tensor_files import CheckpointError
from keras_vtr.layers.interpolation import resize_grid
from keras_vtr.models import build_vit

LAYOUTS = (google, timm, hugging_face)
HEADS = ("head/", "distillation_head/")
POSITIONS = "positions/position_embedding"


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of each weight.

    Args:
        source: Where the checkpoint lies, and whose layout it has.
        loaded: Paths of our weights that hold the checkpoint's values now.
        missing: Paths of our weights that it has no values for: a new head.
        unexpected: Tensors of the checkpoint that our model has no use for.
        remarks: What was resized or assumed.
    """

    source: str
    loaded: tuple
    missing: tuple
    unexpected: tuple
    remarks: tuple

    def __str__(self):
        lines = [f"{self.source}: {len(self.loaded)} weights loaded."]
        for title, names in (
            ("New, since the checkpoint has none that fit", self.missing),
            ("Left in the checkpoint", self.unexpected),
        ):
            if names:
                lines.append(f"  {title}: {', '.join(names)}.")
        return "\n".join([*lines, *(f"  {x}" for x in self.remarks)])


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
            `pip install 'keras-vtr[hub]'`). `.pth` and `.bin` need
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
    model = _build(recipe, num_classes, image_shape, arguments)
    report = _load(model, checkpoint, recipe, new_head)
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
            differ. Nothing is changed then.
    """
    checkpoint = open_checkpoint(source, revision, sha256)
    return _load(model, checkpoint, _recipe(checkpoint), new_head)


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
            except CheckpointError as error:
                raise CheckpointError(f"{checkpoint}: {error}") from error
    raise CheckpointError(
        f"{checkpoint} holds no model that is known here. Known are ViT, DeiT, "
        "DINOv2 and ViT's hybrids, as Google, timm and Hugging Face name their "
        f"tensors. It has {sorted(checkpoint.shapes)[:5]} ..."
    )


def _build(recipe, num_classes, image_shape, arguments):
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
        image_shape = (*(side * recipe.stride for side in grid), 3)
    if None not in image_shape[:2]:
        arguments.pop("position_grid", None)  # the image's own
    if recipe.bit_resnet is not None:
        arguments["backbone"] = build_bit_resnet(
            image_shape, **recipe.bit_resnet
        )
    return build_vit(image_shape=image_shape, **arguments)


def _load(model, checkpoint, recipe, new_head):
    """Reads and checks everything before the first weight is changed."""
    paths = [weight.path for weight in model.weights]
    is_left = {
        path: path.startswith(HEADS) and (new_head or path not in paths)
        for path in recipe.weights
    }
    missing = [
        path
        for path in paths
        if path not in recipe.weights or is_left.get(path, False)
    ]
    unplaced = [
        path for path in recipe.weights if path not in paths + _left(is_left)
    ]
    _check_complete(model, checkpoint, recipe, missing, unplaced, new_head)
    remarks = list(recipe.remarks)
    for weight in model.weights:
        if weight.path not in missing:
            source = recipe.weights[weight.path]
            remarks += _check_shape(weight, source, checkpoint, recipe)
    values = {
        path: np.zeros(weight.shape, "float32")
        if path in missing
        else _value(model, weight, checkpoint, recipe)
        for path, weight in zip(paths, model.weights, strict=True)
    }
    for path, weight in zip(paths, model.weights, strict=True):
        weight.assign(values[path])
    used = {
        name
        for path in paths
        if path not in missing
        for name in recipe.weights[path].names
    }
    return LoadReport(
        f"{checkpoint} ({recipe.family})",
        tuple(path for path in paths if path not in missing),
        tuple(missing),
        tuple(name for name in checkpoint.shapes if name not in used),
        tuple(remarks),
    )


def _left(is_left):
    return [path for path, left in is_left.items() if left]


def _check_complete(model, checkpoint, recipe, missing, unplaced, new_head):
    known = {name for x in recipe.weights.values() for name in x.names}
    unexpected = checkpoint.shapes.keys() - known - set(recipe.unused)
    absent = known - checkpoint.shapes.keys()
    not_new = [
        path for path in missing if not (new_head and path.startswith(HEADS))
    ]
    if not (unexpected or absent or not_new or unplaced):
        return
    problems = [
        (f"the model {model.name!r} has and the checkpoint hasn't", not_new),
        ("the checkpoint has and the model hasn't a place for", unplaced),
        ("tensors that belong to no known part", unexpected),
        ("tensors that every checkpoint of its kind has", absent),
    ]
    text = "; ".join(
        f"{title}: {sorted(names)}" for title, names in problems if names
    )
    mend = ""
    if any(path.startswith(HEADS) for path in not_new):
        mend = " `new_head=True` makes a new head."
    raise CheckpointError(
        f"{checkpoint} ({recipe.family}) doesn't fit. {text}. Nothing was "
        f"loaded.{mend}"
    )


def _check_shape(weight, source, checkpoint, recipe):
    """Compares shapes before any value is read. Returns remarks."""
    # Zeros of any shape without memory: all their strides are 0.
    blanks = [
        np.broadcast_to(np.float32(0), checkpoint.shapes[name])
        for name in source.names
    ]
    try:
        shape = source.convert(*blanks).shape
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint}: the shapes of {source.names}, "
            f"{[x.shape for x in blanks]}, fit no {weight.path}: {error}"
        ) from error
    if shape == tuple(weight.shape):
        return []
    is_position = weight.path == POSITIONS and len(shape) == 3
    if is_position and shape[-1] == weight.shape[-1]:
        return [
            f"Positions were resized from {shape[1]} to {weight.shape[1]} "
            f"({recipe.arguments['position_interpolation']})."
        ]
    raise CheckpointError(
        f"{checkpoint}: {', '.join(source.names)} makes a weight of shape "
        f"{shape}; the model's {weight.path} has {tuple(weight.shape)}. "
        "Nothing was loaded."
        + (" `new_head=True` makes a new head." * ("head" in weight.path))
    )


def _value(model, weight, checkpoint, recipe):
    source = recipe.weights[weight.path]
    value = source.convert(*(checkpoint.read(name) for name in source.names))
    if value.shape == tuple(weight.shape):
        return value
    layer = model.get_layer("positions")
    num_class_tokens = layer.num_class_tokens
    grid = recipe.arguments["position_grid"]
    rest = value[0, num_class_tokens:].reshape(*grid, -1)
    rest = resize_grid(
        rest, layer.grid, recipe.arguments["position_interpolation"]
    )
    rest = keras.ops.convert_to_numpy(rest).reshape(1, -1, value.shape[-1])
    return np.concatenate([value[:, :num_class_tokens], rest], axis=1)
