"""Other people's weights in our models: strictly, or not at all."""

from keras_vtr.pretrained.assignment import assign_weights
from keras_vtr.pretrained.families import family_of
from keras_vtr.pretrained.files import open_weights
from keras_vtr.pretrained.name_map import NameMap
from keras_vtr.pretrained.tensor_file import PretrainedError


def from_pretrained(
    path,
    *,
    num_classes=None,
    image_shape=None,
    revision=None,
    sha256=None,
    verbose=True,
    **arguments,
):
    """Builds the model that pretrained weights are of, with its weights.

    Knows ViT: Google's `.npz` files (Dosovitskiy et al. 2020; Steiner et al.
    2021), timm's safetensors, and Hugging Face's folders (ViT; DeiT, distilled
    too; DINOv2, with registers too; the hybrids with a ResNet). Knows DETR:
    its authors' `.pth` and Hugging Face's folders, detection and panoptic. And
    the ResNets of torchvision, timm and Hugging Face alone, as backbones. What
    a file is is read from its content.

    Args:
        path: Of a file or folder, or "hf://organization/name" (needs
            `pip install huggingface-hub`). `.pth`, `.ckpt`, `.bin` need
            `torch>=2.10`; prefer safetensors. Of several sets of weights that
            a training's file holds, averaged ones ("ema", "teacher") are
            taken, and the report says so.
        num_classes: Default: the file's own head. Another number makes
            a new head of zeros (Dosovitskiy et al. 2020, section 3.2), for
            DETR with a bias by which "no object" is as likely as all classes
            together; 0 leaves a ViT's head out.
        image_shape: (height, width, channels). Default: what the file
            was trained at; DETR: any size. A ViT's positions are resized for
            others, as its family does it: bilinearly (Google) or bicubically
            (with antialiasing: timm, DINOv2 with registers). With None for
            height and width they are resized in the graph, for each image
            size anew.
        revision: Commit, branch or tag on the hub; a commit pins what you get.
        sha256: Digest in hexadecimal that the file of weights must have.
        verbose: Whether to print what was loaded and what wasn't.
        **arguments: Of `keras_vtr.models.build_vit` or `build_detr`, over
            what the file says: `dropout`, `stochastic_depth`,
            `pixel_mean`, `name`, ... `num_heads` for a timm file of unusual
            width without config.json. `position_grid=(rows, columns)`: that
            which a ViT's positions were learned on, where no file tells and
            it is no square. `representation_dim`: of the tanh layer before
            the head of pre-training; a new head drops it unless its width is
            given, None drops it from a file without head. For DETR `padding`;
            `num_queries`, of which the first ones are kept; `masks=True` for a
            new mask head; `dilation=True` for DC5, which the authors' files
            don't tell.

    Returns:
        A functional model, as from `keras_vtr.models.build_vit` or
        `build_detr`, with COCO's or config.json's class names. Pixels are
        normalized in its first layer as the file was trained.

    Raises:
        PretrainedError: If a file is broken, unsafe, or asks for
            something that `build_vit` doesn't have; a `ValueError`.
    """
    pretrained = open_weights(path, revision, sha256)
    name_map = _name_map(pretrained, arguments.pop("position_grid", None))
    model, new = name_map.build(
        pretrained.shapes, num_classes, image_shape, arguments
    )
    report = assign_weights(model, pretrained, name_map, new)
    if verbose:
        print(report)
    return model


def load_weights(
    model,
    path,
    *,
    new_head=False,
    position_grid=None,
    revision=None,
    sha256=None,
):
    """Fills a model that exists with other people's weights.

    Args:
        model: From `keras_vtr.models.build_vit`, `build_detr` or
            `keras_vtr.backbones.build_resnet`, or made of the same layers
            under the same names.
        path: As in `from_pretrained`.
        new_head: If True, the model's head is set to zeros and the
            file's is left out. A model without head always leaves it.
            For DETR as in `from_pretrained`; its mask head is new only if the
            file has none.
        position_grid: As in `from_pretrained`.
        revision: As in `from_pretrained`.
        sha256: As in `from_pretrained`.

    Returns:
        A `LoadReport`.

    Raises:
        PretrainedError: If a weight of the model isn't in the file, or a
            tensor of the file has no place in the model, or their shapes
            differ, or the model computes with other settings than those that
            the weights were trained for. Nothing is changed then.
    """
    pretrained = open_weights(path, revision, sha256)
    name_map = _name_map(pretrained, position_grid)
    wrong = name_map.wrong_settings(model)
    if wrong:
        raise PretrainedError(
            f"{pretrained} ({name_map.family}) was trained with "
            f"{'; '.join(wrong)}. Build {model.name!r} so; nothing was loaded."
        )
    new = ()
    if new_head:
        paths = tuple(name_map.weights)
        lacking = (x for x in name_map.parts if not _begins(paths, x))
        new = (*name_map.heads, *lacking)
    return assign_weights(model, pretrained, name_map, new)


def _begins(paths, start):
    return any(path.startswith(start) for path in paths)


def _name_map(pretrained, position_grid=None):
    family = family_of(pretrained.shapes)
    if family is None:
        raise PretrainedError(
            f"{pretrained} holds no model that is known here. Known are ViT, "
            "DeiT, DINOv2, ViT's hybrids, DETR and ResNets, as Google, timm, "
            "Hugging Face and DETR's authors name their tensors, and what "
            "keras_vtr.pretrained.register adds. It has "
            f"{sorted(pretrained.shapes)[:5]} ..."
        )
    kind = getattr(family, "__name__", type(family).__name__)
    try:
        name_map = family.read(
            pretrained.shapes, pretrained.config, position_grid
        )
        pretrained.config.finish()
    except KeyError as error:
        raise PretrainedError(
            f"{pretrained} lacks {error}, which every file of its kind "
            f"({kind.removeprefix('keras_vtr.pretrained.')}) has."
        ) from error
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise PretrainedError(f"{pretrained}: {error}") from error
    if not isinstance(name_map, NameMap):
        raise PretrainedError(
            f"`read` of a family must return a NameMap. Received: {name_map!r} "
            f"from {kind}"
        )
    return name_map
