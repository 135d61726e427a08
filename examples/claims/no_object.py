"""Claim: "no object" makes the matching work.

    python examples/claims/no_object.py

Took 110 minutes on one busy core; `--short` less, for numbers that mean
nothing. In DETR every query without a partner is to answer "no object", with
a weight of 0.1 since there are many (Carion et al. 2020, section 3.1). A scene
here has one to five digits, 2.9 on average. "found" is how many detections of
a scene score above 0.5. What this gives stands in README.md.
"""

import digit_detr
import experiment
import numpy as np

from keras_vtr.detections import decode_detections

VARIANTS = {
    "10 queries, weight 0.1": {},
    "weight 1e-6": {"no_object_weight": 1e-6},  # as good as 0
    "weight 1": {"no_object_weight": 1.0},
    "5 queries": {"num_queries": 5},  # none to spare
    "25 queries": {"num_queries": 25},
    "100 queries": {"num_queries": 100},
}


def measure(seed, steps, num_queries=10, no_object_weight=0.1):
    """AP, and how many digits the detector believes to see."""
    detr = digit_detr.build_detr(num_queries)
    loss = digit_detr.hungarian_loss(no_object_weight=no_object_weight)
    digit_detr.train(detr, loss, seed, steps)
    num_found = []

    def decode(outputs):
        detections = decode_detections(outputs, digit_detr.IMAGE_SHAPE)
        scores = np.array(detections["scores"])
        num_found.append((scores > 0.5).sum(axis=1).mean())
        return detections

    found = digit_detr.average_precision(detr, decode)
    return [
        {
            "AP": found["AP"],
            "AP50": found["AP50"],
            "found": float(np.mean(num_found)),
        }
    ]


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=2000,
        values=["AP", "AP50", "found"],
    )
