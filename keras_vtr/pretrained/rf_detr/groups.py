"""The further groups of queries of a pretrained RF-DETR."""

from keras_vtr.models import add_groups
from keras_vtr.pretrained.assignment import assign_weights
from keras_vtr.pretrained.files import open_weights
from keras_vtr.pretrained.loading import check_settings
from keras_vtr.pretrained.loading import name_map_of
from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.stages import DETR


def add_pretrained_groups(detr, path, *, revision=None, sha256=None):
    """Builds the model that fine-tunes an RF-DETR with all groups of queries.

    As `keras_vtr.models.add_groups`, with the groups that the file was trained
    with and their weights. The model's own weights don't change; if it has
    other classes than the file, the class heads of the groups are new.

    Args:
        detr: From `from_pretrained`.
        path: As in `from_pretrained`, the file that the model comes from.
        revision: As in `from_pretrained`.
        sha256: As in `from_pretrained`.

    Returns:
        The model to train; the one to evaluate and export is `detr`.

    Raises:
        PretrainedError: If the file has no further groups, or doesn't fit.
    """
    pretrained = open_weights(path, revision, sha256)
    name_map = name_map_of(pretrained)
    num_groups = getattr(name_map, "num_groups", 1) - 1
    if num_groups < 1:
        raise PretrainedError(
            f"{pretrained} ({name_map.family}) has no groups of queries. Train "
            "the model itself, or with `keras_vtr.models.add_groups`."
        )
    model = add_groups(detr, num_groups)
    check_settings(model, pretrained, name_map)
    new = ()
    if detr.num_classes != name_map.arguments["num_classes"]:
        new = name_map.heads
    if not name_map.arguments["masks"]:
        new += (f"{DETR.MASK_HEAD}/",)
    own = detr.get_weights()
    assign_weights(model, pretrained, name_map, new)
    detr.set_weights(own)
    return model
