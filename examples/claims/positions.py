"""Claim: which position embedding a ViT has doesn't matter, if it has one.

    python examples/claims/positions.py

Took 20 minutes on one busy core; `--short` less, for numbers that mean
nothing. Dosovitskiy et al. 2020, appendix D.4 and table 8: 0.614 without
positions, 0.642 with learned ones in raster order, 0.640 with two-dimensional
or relative ones. What this gives stands in README.md.
"""

import digit_vit
import experiment

import keras_vtr

VARIANTS = {
    "none": {"position": "none"},
    "learned, 1-D": {"position": "learned_1d"},
    "learned, 2-D": {"position": "learned_2d"},
    "relative": {"position": "relative"},
    "sine": {"position": "sine"},
}


def measure(seed, steps, position):
    """Accuracy of a ViT with 16 patches."""
    vit = keras_vtr.models.build_vit(**digit_vit.VIT, position=position)
    digit_vit.train(vit, steps)
    return [{"accuracy": digit_vit.accuracy(vit)}]


if __name__ == "__main__":
    experiment.run(__file__, VARIANTS, measure, steps=1000, values=["accuracy"])
