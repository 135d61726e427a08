"""Claim: a class token and mean pooling are equal, each at its learning rate.

    python examples/claims/pooling.py

Took 15 minutes on one busy core; `--short` less, for numbers that mean
nothing. Dosovitskiy et al. 2020, appendix D.3 and figure 9: mean pooling
seemed much worse, until it got a smaller learning rate than the class token.
What this gives stands in README.md.
"""

import digit_vit
import experiment

import keras_vtr

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
VARIANTS = {
    "class token": {"pooling": "class_token"},
    "mean": {"pooling": "mean"},
}


def measure(seed, steps, pooling):
    """Accuracy at each learning rate."""
    for rate in RATES:
        vit = keras_vtr.models.build_vit(**digit_vit.VIT, pooling=pooling)
        digit_vit.train(vit, steps, rate)
        yield {"learning rate": rate, "accuracy": digit_vit.accuracy(vit)}


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=300,
        values=["accuracy"],
        x="learning rate",
        log="x",
    )
