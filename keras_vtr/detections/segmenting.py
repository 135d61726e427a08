from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.detection_checks import check_segmenter
from keras_vtr.detection_checks import check_threshold
from keras_vtr.detections.detecting import ask_model
from keras_vtr.detections.masks import padding_of
from keras_vtr.detections.segments import COCO_THINGS
from keras_vtr.detections.segments import decode_segments
from keras_vtr.functional_models import with_images


def segment(
    model,
    images,
    *,
    things=COCO_THINGS,
    score_threshold=0.85,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
):
    """Gives each pixel of pictures of any size to one object.

    Panoptic segmentation (Kirillov et al. 2019). Pictures are read and resized
    as by `keras_vtr.detect`, and divided by `decode_segments`.

    Args:
        model: A detector with masks such as `keras_vtr.models.build_eomt` or
            `build_detr(masks=True)` return.
        images: As of `keras_vtr.detect`.
        things: As of `decode_segments`.
        score_threshold: As of `decode_segments`.
        image_size: As of `keras_vtr.detect`.
        short_side: As of `keras_vtr.detect`.
        longest_side: As of `keras_vtr.detect`.

    Returns:
        A list of dicts as `decode_segments` returns them, of each picture's own
        size, for `keras_vtr.visualization.draw_segments`; and `"names"`, a list
        of n class names, None where the model has none.

    Raises:
        ValueError: If the model has no masks, a picture is none of these, or an
            argument doesn't fit the model.
        OSError: If a file can't be read, with its path and the reason.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     2, size="small", image_shape=(64, 64, 3), masks=True
    ... )
    >>> picture = np.zeros((48, 96, 3), "uint8")
    >>> (found,) = keras_vtr.segment(detr, [picture])
    >>> print(found["segments"].shape)
    (48, 96)
    """
    check_segmenter(with_images(model))
    check_threshold(score_threshold)
    answers = []
    for pixels, inputs, outputs, names in ask_model(
        model, images, image_size, short_side, longest_side
    ):
        (found,) = decode_segments(
            outputs,
            pixels.shape[:2],
            padding_mask=padding_of(inputs),
            things=things,
            score_threshold=score_threshold,
        )
        found["names"] = [names and names[i] for i in found["labels"]]
        answers.append(found)
    return answers
