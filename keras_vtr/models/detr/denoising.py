"""Training a DETR with noised true objects as further queries."""

import keras

from keras_vtr.layers import DenoisingQueries
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.models.detr.training_queries import add_queries


def add_denoising(
    detr, num_targets, *, num_groups=5, box_noise=0.4, label_noise=0.2
):
    """Builds the model that trains a DETR with denoising.

    Li et al. 2022 (DN-DETR), section 3.2 and figure 4: true boxes and labels
    with noise are further queries, which the decoder learns to denoise. The
    model shares all layers with `detr`. Evaluate, save and export `detr`, whose
    outputs don't change:

    >>> images = (64, 64, 3)
    >>> detr = keras_vtr.models.build_detr(
    ...     3, size="small", image_shape=images, queries="anchors"
    ... )
    >>> training_model = keras_vtr.models.add_denoising(detr, num_targets=4)
    >>> print(sorted(training_model.input))
    ['boxes', 'images', 'labels']

    The data set provides them by
    `dataset.map(lambda images, y: ({"images": images, **y}, y))`.

    Args:
        detr: From `build_detr` with `queries="anchors"` or "selected", or from
            `add_groups`.
        num_targets: M, the number that each batch's targets are padded to.
        num_groups: How many noised copies each true object has.
        box_noise: As in `keras_vtr.layers.DenoisingQueries`.
        label_noise: Likewise.

    Returns:
        A `DetectionModel` of a dict of `detr`'s inputs and of y_true's
        `"boxes"` (B, M, 4) and `"labels"` (B, M), to `detr`'s outputs and
        those of P = `num_groups` * M noised objects, with the prefix
        `denoising_`, (B, L, P, ...), for `keras_vtr.losses.HungarianLoss`.

    Raises:
        ValueError: If `detr` has no anchors, or a number is out of its range.
    """
    check_positive_int("num_targets", num_targets)
    boxes = keras.Input((num_targets, 4), name="boxes")
    labels = keras.Input((num_targets,), dtype="int32", name="labels")

    def denoise(queries, **memory):
        noised = DenoisingQueries(
            num_groups,
            detr.num_classes,
            queries.shape[-1],
            box_noise,
            label_noise,
            name="denoising_queries",
        )(boxes, labels)
        return (*noised, None)

    inputs = {"boxes": boxes, "labels": labels}
    return add_queries(detr, "denoising", denoise, inputs, sees_queries=True)
