"""Training a DETR with groups of further queries."""

from keras import ops

from keras_vtr.layers import AnchorQueries
from keras_vtr.layers import ObjectQueries
from keras_vtr.layers import QuerySelection
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.models.detr.training_queries import add_queries


def add_groups(detr, num_groups=4):
    """Builds the model that trains a DETR with groups of queries.

    Chen et al. 2022 (Group DETR), section 3.2, and Jia et al. 2022 (H-DETR),
    section 3: a target gives a signal to one query only, which makes DETR learn
    slowly. So training has further groups of queries, each matched to all
    targets by itself; groups don't see each other. The model shares all layers
    with `detr`. Difference from Group DETR: the loss of the object queries
    counts as much as the mean over all further groups, as in H-DETR, unless
    `HungarianLoss(pairing_weights=...)` says otherwise. Evaluate,
    save and export `detr`, whose outputs don't change:

    >>> images = (64, 64, 3)
    >>> detr = keras_vtr.models.build_detr(
    ...     3, size="small", image_shape=images, queries="anchors"
    ... )
    >>> training_model = keras_vtr.models.add_groups(detr, num_groups=2)
    >>> print(training_model.output["group_boxes"].shape)
    (None, 2, 20, 4)

    Args:
        detr: From `build_detr` with `queries="anchors"` or "selected", or from
            `add_denoising`.
        num_groups: G, how many groups there are besides the object queries.

    Returns:
        A `DetectionModel` of `detr`'s inputs to its outputs and those of the
        groups, with the prefix `group_`, (B, L, G * Q, ...), for
        `keras_vtr.losses.HungarianLoss`.

    Raises:
        ValueError: If `detr` has no anchors, or `num_groups` is below 1.
    """
    check_positive_int("num_groups", num_groups)
    num_queries = detr.output["boxes"].shape[1]
    selection = next(
        (x for x in detr.layers if isinstance(x, QuerySelection)), None
    )

    def group(queries, memory, centers, padding_mask=None):
        count = num_groups * num_queries
        if selection is None:
            anchors = AnchorQueries(count, name="group_queries")(memory)
            nothing = ops.zeros_like(anchors[..., :1])
            nothing = ops.repeat(nothing, queries.shape[-1], axis=-1)
            return nothing, anchors, num_groups, None
        contents = ObjectQueries(count, name="group_queries")(memory)
        anchors, *predicted = _select_groups(
            selection, num_groups, memory, centers, padding_mask=padding_mask
        )
        return contents, anchors, num_groups, predicted

    return add_queries(detr, "group", group)


def _select_groups(selection, num_groups, *inputs, **options):
    """What a `QuerySelection` of its own selects for each group."""
    config = selection.get_config()
    outputs = [
        QuerySelection.from_config({**config, "name": f"group_selection_{i}"})(
            *inputs, **options
        )
        for i in range(num_groups)
    ]
    return [ops.concatenate(x, axis=1) for x in zip(*outputs, strict=True)]
