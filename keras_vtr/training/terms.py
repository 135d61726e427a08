"""The terms of the loss that suit a model."""

from keras_vtr.classifiers import SIGMOID
from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import MaskHead
from keras_vtr.layers import RelativeRefinement
from keras_vtr.losses import RelativeBoxTerm
from keras_vtr.losses import detr_terms
from keras_vtr.losses import mask_terms
from keras_vtr.losses import point_mask_terms
from keras_vtr.losses import sigmoid_terms


def terms_for(model):
    """The terms that suit the model's classifier, its boxes and its masks."""
    terms = sigmoid_terms() if SIGMOID.key in model.output else detr_terms()
    for layer in model.layers:
        if isinstance(layer, AnchorDecoder) and isinstance(
            layer.box_refinement, RelativeRefinement
        ):
            terms[1] = RelativeBoxTerm()
    if any(isinstance(layer, MaskHead) for layer in model.layers):
        terms += mask_terms()
    elif "masks" in model.output:
        terms += point_mask_terms()
    return terms
