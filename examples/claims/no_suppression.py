"""Claim: DETR needs neither non-maximum suppression nor thresholds.

    python examples/claims/no_suppression.py

Took 30 minutes on one busy core; `--short` less, for numbers that mean
nothing. Carion et al. 2020, figure 4: suppression helps the first decoder
layer, which can't compare its answers, and no longer the last. An anchor head
on the same backbone lives by it. What this gives stands in README.md.
"""

import anchor_head
import digit_detr
import experiment
import numpy as np
import suppression

from keras_vtr.detections import decode_detections

NUM_LAYERS = 4
VARIANTS = {
    "DETR": {"is_detr": True},
    "anchors": {"is_detr": False},
}
DETR_OVERLAP = 0.7  # of suppression, as in the paper


def measure(seed, steps, is_detr):
    """AP with and without suppression; DETR's after each decoder layer."""
    if is_detr:
        yield from measure_detr(seed, steps)
        return
    head = anchor_head.build()
    digit_detr.train(head, None, seed, steps)
    row = {"layer": NUM_LAYERS}
    for name, overlap in (
        ("AP", 1.0),  # nothing is dropped
        ("AP, suppressed", anchor_head.SUPPRESSION_OVERLAP),
        ("AP, suppressed at 0.3", 0.3),
        ("AP, suppressed at 0.7", 0.7),
    ):
        row[name] = digit_detr.average_precision(
            head,
            lambda outputs, overlap=overlap: suppression.suppress(
                *anchor_head.decode(outputs),
                overlap,
                anchor_head.SCORE_THRESHOLD,
            ),
        )["AP"]
    yield row


def measure_detr(seed, steps):
    detr = digit_detr.build_detr(num_decoder_layers=NUM_LAYERS)
    digit_detr.train(detr, digit_detr.hungarian_loss(), seed, steps)
    for layer in range(NUM_LAYERS):

        def decode(outputs, layer=layer):
            """Detections of one decoder layer."""
            every = {
                key: np.concatenate(
                    [outputs[f"auxiliary_{key}"], outputs[key][:, None]], axis=1
                )
                for key in ("logits", "boxes")
            }
            return decode_detections(
                {key: value[:, layer] for key, value in every.items()},
                digit_detr.IMAGE_SHAPE,
            )

        def suppressed(outputs, decode=decode):
            found = {key: np.array(x) for key, x in decode(outputs).items()}
            scores = np.eye(10)[found["labels"]] * found["scores"][..., None]
            return suppression.suppress(
                found["boxes"], scores, DETR_OVERLAP, 1e-6
            )

        row = {"layer": layer + 1}
        for name, way in (("AP", decode), ("AP, suppressed", suppressed)):
            row[name] = digit_detr.average_precision(detr, way)["AP"]
        yield row


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=2000,
        values=[
            "AP",
            "AP, suppressed",
            "AP, suppressed at 0.3",
            "AP, suppressed at 0.7",
        ],
        drawn=2,
        x="layer",
    )
