"""The terms of models with masks."""

from keras_vtr.losses.detr_terms import CardinalityError
from keras_vtr.losses.detr_terms import ClassError
from keras_vtr.losses.detr_terms import LabelTerm
from keras_vtr.losses.mask_points import UncertainPoints
from keras_vtr.losses.mask_terms import DiceTerm
from keras_vtr.losses.mask_terms import MaskCrossentropyTerm
from keras_vtr.losses.mask_terms import MaskFocalTerm


def mask_terms(weight=1.0, dice_weight=1.0):
    """The terms of DETR's masks: all pixels, and no part of the matching.

    Carion et al. 2020 (DETR), section 4.4, and the authors' code.

    Args:
        weight: Weight of the focal loss.
        dice_weight: Weight of the Dice term.

    Returns:
        A list to add to `detr_terms()` or `sigmoid_terms()`.

    Raises:
        ValueError: If a weight is below 0.

    Example:

    >>> terms = [
    ...     *keras_vtr.losses.detr_terms(),
    ...     *keras_vtr.losses.mask_terms(),
    ... ]
    >>> print(keras_vtr.losses.HungarianLoss(terms).term_names[-2:])
    ['mask_loss', 'dice_loss']
    """
    return [
        MaskFocalTerm(weight, cost_weight=0.0),
        DiceTerm(dice_weight, cost_weight=0.0),
    ]


def point_mask_terms(weight=5.0, dice_weight=5.0, points=None):
    """The terms of Mask2Former's masks, in the matching, too.

    Cheng et al. 2022 (Mask2Former), section 3.3 and table 4; the same in
    RF-DETR and EoMT.

    Args:
        weight: Weight of the cross-entropy in loss and matching.
        dice_weight: Weight of the Dice term, likewise.
        points: Default: `UncertainPoints()`. A sixteenth of a predicted mask's
            pixels is RF-DETR's number.

    Returns:
        A list to add to `sigmoid_terms()` or a `LabelTerm`.

    Raises:
        ValueError: If a weight is below 0.

    Example:

    >>> points = keras_vtr.losses.UncertainPoints(num_points=256)
    >>> terms = keras_vtr.losses.point_mask_terms(points=points)
    >>> print([(term.name, term.cost_weight) for term in terms])
    [('mask_loss', 5.0), ('dice_loss', 5.0)]
    """
    points = UncertainPoints() if points is None else points
    return [
        MaskCrossentropyTerm(weight, points),
        DiceTerm(dice_weight, points),
    ]


def eomt_terms(label_weight=2.0, no_object_weight=0.1, points=None):
    """The terms for a model of masks alone, such as `build_eomt` returns.

    Kerssies et al. 2025 (EoMT), section 4, as Cheng et al. 2022 (Mask2Former).

    Args:
        label_weight: Weight of the class in loss and matching.
        no_object_weight: As in `LabelTerm`.
        points: As in `point_mask_terms`.

    Returns:
        A list for `HungarianLoss`.

    Raises:
        ValueError: If a weight is out of its range.

    Example:

    >>> print([term.name for term in keras_vtr.losses.eomt_terms()[:3]])
    ['label_loss', 'mask_loss', 'dice_loss']
    """
    return [
        LabelTerm(label_weight, no_object_weight),
        *point_mask_terms(points=points),
        ClassError(),
        CardinalityError(),
    ]
