"""Masks as PNG pictures of each image's own size, within a SavedModel."""

import keras
import tensorflow as tf

from keras_vtr.detections.segments import divide_image
from keras_vtr.mask_ops import resize_masks

MANY_SEGMENTS = 255  # of more, a byte has no number


def draw_object_masks(answer, image_shape, steps):
    """Replaces masks, if there are any, by one PNG for each detection.

    Args:
        answer: Dict with `"labels"` (B, n) and optionally `"masks"` (B, n,
            height', width'), logits.
        image_shape: (B, 2) int32, each image's own height and width.
        steps: (B, 2) float32, by which part of the masks' sides its pixels
            stand apart.

    Returns:
        The dict with `"mask_bytes"` (B, n) string, PNG of one channel, 255 in
        the object and 0 elsewhere; empty without a detection.
    """
    if "masks" not in answer:
        return answer
    answer = dict(answer)
    masks, labels = tf.cast(answer.pop("masks"), "float32"), answer["labels"]

    def encode(row):
        mask, size, step = row
        inside = resize_masks(mask, size, step, keras.ops) > 0
        pixels = tf.where(inside, tf.constant(255, tf.uint8), 0)
        return tf.io.encode_png(pixels[..., None])

    rows = tf.where(labels >= 0)  # (m, 2)
    found = (
        tf.gather_nd(masks, rows),
        tf.gather(image_shape, rows[:, 0]),
        tf.gather(steps, rows[:, 0]),
    )
    pictures = tf.map_fn(encode, found, fn_output_signature=tf.string)
    pictures = tf.tensor_scatter_nd_update(
        tf.fill(tf.shape(labels), ""), rows, pictures
    )
    return {**answer, "mask_bytes": pictures}


def draw_segments_map(answer, image_shape, steps, is_thing):
    """Replaces probabilities and masks by one PNG for each image.

    Args:
        answer: Dict with `"probabilities"` (B, Q, K) of
            `keras_vtr.detections.segments.sure_queries` and `"masks"` (B, Q,
            height', width').
        image_shape: As above.
        steps: As above.
        is_thing: Of `things_of`.

    Returns:
        A dict: `"map_bytes"` (B,) string, PNG of one channel with the number of
        each pixel's segment, from 1, or 0; `"labels"` (B, Q) int32 and
        `"scores"` (B, Q) float32 of the segments, -1 and 0 after the last.
    """
    num_queries = answer["probabilities"].shape[1]
    dtype_of_map = tf.uint8 if num_queries <= MANY_SEGMENTS else tf.uint16

    def encode(row):
        found = divide_image(*row, is_thing, ops=keras.ops)
        numbers = tf.cast(found["segments"] + 1, dtype_of_map)
        missing = num_queries - tf.shape(found["labels"])[0]
        padded = [
            tf.pad(
                tf.cast(found[key], dtype), [[0, missing]], constant_values=x
            )
            for key, dtype, x in (
                ("labels", "int32", -1),
                ("scores", "float32", 0),
            )
        ]
        return tf.io.encode_png(numbers[..., None]), *padded

    rows = (answer["probabilities"], answer["masks"], image_shape, steps)
    types = (
        tf.TensorSpec((), tf.string),
        tf.TensorSpec((num_queries,), tf.int32),
        tf.TensorSpec((num_queries,), tf.float32),
    )
    pictures, labels, scores = tf.map_fn(
        encode, rows, parallel_iterations=1, fn_output_signature=types
    )
    return {"map_bytes": pictures, "labels": labels, "scores": scores}
