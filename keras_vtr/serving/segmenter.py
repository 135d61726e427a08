import functools

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.detection_checks import check_segmenter
from keras_vtr.detection_checks import check_threshold
from keras_vtr.detections.segments import COCO_THINGS
from keras_vtr.detections.segments import sure_queries
from keras_vtr.detections.segments import things_of
from keras_vtr.functional_models import with_images
from keras_vtr.serving.detector import exporter_of
from keras_vtr.serving.detector import raw_outputs
from keras_vtr.serving.mask_pictures import draw_segments_map


def export_segmenter(
    model,
    folder,
    *,
    format="saved_model",
    class_names=None,
    things=COCO_THINGS,
    score_threshold=0.85,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS // 16,
    version=None,
    warmup_batch_sizes=(),
    calibration_images=None,
):
    """Publishes a panoptic segmenter as the next version of a served model.

    As `keras_vtr.serving.export_detector`, with these outputs of the first two
    signatures, each pixel by one segment as `keras_vtr.detections.
    decode_segments` divides them: `map_bytes` (B,) string, a PNG of the
    picture's own size with one channel, the number of each pixel's segment, 1
    to n, or 0 for none (of 8 bits; of 16 if there are more than 255 queries);
    `labels` (B, Q) int32, that of the segment 1 first, -1 after the last one;
    `scores` (B, Q) float32; `label_names` (B, Q) string, if there are
    `class_names`; and `ok` (B,). The map of an image that could not be read is
    empty.

    The other formats answer with what `decode_segments` takes: the model's
    `logits` or `sigmoid_logits` and its `masks`.

    Args:
        model: A detector with masks such as `keras_vtr.models.build_eomt` or
            `build_detr(masks=True)` return.
        folder: The model's folder; the version is written below it.
        format: As for `export_detector`.
        class_names: As for `export_detector`.
        things: As for `decode_segments`.
        score_threshold: As for `decode_segments`.
        image_size: As for `export_detector`.
        short_side: As for `export_detector`.
        longest_side: As for `export_detector`.
        max_bytes: As for `export_detector`.
        max_pixels: As for `export_detector`. While a picture is divided, each
            query with an object takes about 15 bytes a pixel.
        version: As for `export_detector`.
        warmup_batch_sizes: As for `export_detector`.
        calibration_images: As for `export_detector`.

    Returns:
        The `pathlib.Path` of the version, `folder/<number>`.

    Raises:
        ValueError: If the model has no masks, or an argument doesn't fit it.
        FileExistsError: If the version exists.
        keras_vtr.serving.SelfCheckError: If the export's outputs differ from
            the model's. Then nothing is published.

    Example:

    >>> eomt = keras.models.load_model("eomt.keras")  # doctest: +SKIP
    >>> keras_vtr.serving.export_segmenter(eomt, "savedmodels/eomt")
    ... # doctest: +SKIP
    PosixPath('savedmodels/eomt/1')
    """
    model = with_images(model)
    num_classes = check_segmenter(model)
    check_threshold(score_threshold)
    is_thing = things_of(things, num_classes)

    def answer(outputs, image_shape):
        if format != "saved_model":
            outputs = raw_outputs(outputs)
            return {key: x for key, x in outputs.items() if key != "boxes"}
        probabilities, masks = sure_queries(outputs, score_threshold)
        return {"probabilities": probabilities, "masks": masks}

    exporter = exporter_of(
        model,
        class_names,
        (image_size, short_side, longest_side, max_bytes, max_pixels),
        answer,
        {
            "task": "segmentation",
            "score_threshold": score_threshold,
            "things": is_thing[:-1].nonzero()[0].tolist(),
        },
        functools.partial(draw_segments_map, is_thing=is_thing),
    )
    return exporter.publish(
        folder, format, version, warmup_batch_sizes, calibration_images
    )
