"""Loads other people's weights into our models, strictly."""

from keras_vtr.pretrained.assignment import assign_weights
from keras_vtr.pretrained.families import family_of
from keras_vtr.pretrained.families import unknown_names
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
    """Builds a model for pretrained weights, and loads them.

    Supported are ViT: Google's `.npz` files (Dosovitskiy et al. 2020; Steiner
    et al. 2021), timm's repositories and Hugging Face's folders (ViT; DeiT,
    also distilled; DINOv2, also with registers; the hybrids with a ResNet;
    DINOv3), timm's TIPSv2 and LingBot-Vision, and Hugging Face's image towers
    of CLIP and SigLIP, also SigLIP 2 of fixed size.
    DETR: its authors' `.pth` and Hugging Face's folders, detection and
    panoptic, and Table Transformer. RF-DETR: likewise, detection and masks.
    EoMT and YOLOS: Hugging Face's folders. The ResNets of torchvision, timm and
    Hugging Face, as backbones. The content of a file decides which it is.

    Args:
        path: Of a file or folder, or "hf://organization/name" (needs
            `pip install huggingface-hub`). `.pth`, `.ckpt`, `.bin` need
            `torch>=2.10`; prefer safetensors. If a file has several sets of
            weights, the averaged ones ("ema", "teacher") are loaded, and the
            report says so.
        num_classes: Default: that of the file's head. Another number makes
            a new head of zeros (Dosovitskiy et al. 2020, section 3.2), for
            DETR with a bias that makes "no object" as likely as all classes
            together; 0 makes a ViT without head.
        image_shape: (height, width, channels). Default: the size that the
            weights were trained at, RF-DETR's too; DETR and YOLOS: any. For
            another size, a ViT's positions are resized as its project does it:
            bilinearly (Google) or bicubically (with antialiasing: timm, DINOv2
            with registers). If height and width are None, they are resized in
            the graph, for each image size.
        revision: Commit, branch or tag on the hub; only a commit is fixed.
        sha256: Digest in hexadecimal that the file of weights must have.
        verbose: Whether to print what was loaded and what wasn't.
        **arguments: Of `keras_vtr.models.build_vit` or `build_detr`; they
            override the file's: `dropout`, `stochastic_depth`, `pixel_mean`,
            `name`, ... `num_heads` for a timm file of unusual width without
            config.json. `patch_size`: of a ViT; another one than the file's
            resizes the kernel of the patches (Beyer et al. 2023, FlexiViT).
            `position_grid=(rows, columns)` of a ViT's positions,
            if it is no square and no file gives it. `representation_dim`: of
            the tanh layer before the head of pre-training; a new head removes
            that layer unless its width is given, None removes it from a file
            without head. For DETR `padding`; `num_queries`, to keep the first
            ones only; `masks=True` for a new mask head; `dilation=True` for
            DC5, which the authors' files don't record. For RF-DETR no
            `padding`, but `num_windows`, `feature_blocks` and `global_blocks`,
            if no file tells them.

    Returns:
        A functional model, as from `keras_vtr.models.build_vit`, `build_detr`,
        `build_rf_detr`, `build_yolos` or `build_eomt`, with COCO's or
        config.json's class names. Its first layer normalizes pixels as in the
        training of the weights. An image tower ends in the embedding that is
        compared with those of texts, after both are divided by their norms.

    Raises:
        PretrainedError: If a file is broken, unsafe, or needs something that
            our model doesn't have; a `ValueError`.
    """
    pretrained = open_weights(path, revision, sha256)
    name_map = name_map_of(pretrained, arguments.pop("position_grid", None))
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
    """Loads pretrained weights into an existing model.

    Args:
        model: From `keras_vtr.models.build_vit`, `build_detr` or
            `keras_vtr.backbones.build_resnet`, or with the same layers under
            the same names.
        path: As in `from_pretrained`.
        new_head: If True, the model's head is set to zeros instead of the
            file's, for DETR as in `from_pretrained`; its mask head is new
            only if the file has none. A model without head needs no flag.
        position_grid: As in `from_pretrained`.
        revision: As in `from_pretrained`.
        sha256: As in `from_pretrained`.

    Returns:
        A `LoadReport`.

    Raises:
        PretrainedError: If a weight of the model isn't in the file, or a
            tensor of the file isn't in the model, or their shapes differ, or
            the model has other settings than the weights were trained with.
            Then nothing is changed.
    """
    pretrained = open_weights(path, revision, sha256)
    name_map = name_map_of(pretrained, position_grid)
    check_settings(model, pretrained, name_map)
    new = ()
    if new_head:
        paths = name_map.weights
        lacking = (
            part
            for part in name_map.parts
            if not any(path.startswith(part) for path in paths)
        )
        new = (*name_map.heads, *lacking)
    return assign_weights(model, pretrained, name_map, new)


def check_settings(model, pretrained, name_map):
    """Refuses a model with other settings than the file's."""
    wrong = name_map.wrong_settings(model)
    if wrong:
        raise PretrainedError(
            f"The weights of {pretrained} ({name_map.family}) were trained "
            f"with {'; '.join(wrong)}. Build {model.name!r} with the same; "
            "nothing was loaded."
        )


def name_map_of(pretrained, position_grid=None):
    """The `NameMap` of the family that recognizes the tensors."""
    family = family_of(pretrained.shapes)
    if family is None:
        raise PretrainedError(
            f"{pretrained} holds no model that is known here."
            f"{_unknown_names(pretrained)} Known are the "
            "names of ViT, DeiT, DINOv2, DINOv3, ViT's hybrids, CLIP, SigLIP, "
            "DETR, Table Transformer, RF-DETR, YOLOS, EoMT, ResNets by Google, "
            "timm, Hugging Face and the authors, and families added with "
            "keras_vtr.pretrained.register. The file has "
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


def _unknown_names(pretrained):
    model_type = pretrained.config.peek("model_type")
    names = unknown_names(pretrained.shapes, model_type)
    if not names:
        return ""
    return (
        f" {pretrained.config.place.name} says model_type={model_type!r}, "
        f"which has no tensor {', '.join(map(repr, sorted(names)[:5]))}"
        f"{' ...' if len(names) > 5 else ''}."
    )
