"""Non-maximum suppression, which DETR doesn't need; no_suppression.py asks."""

import tensorflow as tf


def suppress(boxes, scores, overlap, threshold):
    """Non-maximum suppression of (B, N, 4) boxes, by class (B, N, K)."""
    found = tf.image.combined_non_max_suppression(
        tf.convert_to_tensor(boxes, tf.float32)[:, :, None],
        tf.convert_to_tensor(scores, tf.float32),
        max_output_size_per_class=10,
        max_total_size=20,
        iou_threshold=overlap,
        score_threshold=threshold,
        clip_boxes=False,
    )
    is_found = tf.range(20) < found.valid_detections[:, None]
    return {
        "boxes": found.nmsed_boxes,
        "scores": found.nmsed_scores,
        "labels": tf.where(is_found, tf.cast(found.nmsed_classes, "int32"), -1),
    }
