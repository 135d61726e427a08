"""Claim: DETR needs its feed-forward layers, encodings and both box losses.

    python examples/claims/detr_parts.py

Took 65 minutes on one busy core; `--short` less, for numbers that mean
nothing. Carion et al. 2020, tables 3 and 4 and section 4.2, took parts away
and lost AP: 2.3 points without feed-forward layers, 7.8 without spatial
encodings, 0.7 without the L1 loss and 4.8 without the GIoU loss. What this
gives stands in README.md.
"""

import digit_detr
import experiment

from keras_vtr.detections import decode_detections

VARIANTS = {
    "DETR": {},
    "no feed-forward": {"parts": {"feed_forward": False}},
    "no spatial encodings": {"parts": {"spatial_encodings": False}},
    "GIoU alone": {"weights": {"box_weight": 0.0}},
    "L1 alone": {"weights": {"giou_weight": 0.0}},
}


def measure(seed, steps, parts=None, weights=None):
    """AP of a DETR without some of its parts, or of its loss's."""
    detr = digit_detr.build_detr(**(parts or {}))
    # The weights serve matching and loss alike.
    loss = digit_detr.hungarian_loss(**(weights or {}))
    digit_detr.train(detr, loss, seed, steps)
    found = digit_detr.average_precision(
        detr,
        lambda outputs: decode_detections(outputs, digit_detr.IMAGE_SHAPE),
    )
    return [{name: found[name] for name in ("AP", "AP50", "AP75")}]


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=2000,
        values=["AP", "AP50", "AP75"],
    )
