"""How a detector's class probabilities follow from its logits.

The key of the logits among a detector's outputs says which of the two it is,
so whatever reads these outputs needs no other argument, and a loss for the
other one finds no logits.
"""

import dataclasses
import math

import keras


@dataclasses.dataclass(frozen=True)
class Classifier:
    """One of the two kinds.

    Args:
        key: Of the logits, among the outputs of a detector.
        activation: From logits to probabilities.
        has_no_object: Whether the last logit is that of "no object".
        prior: The probability of each class that training starts with, or None
            for that of a bias of 0.
    """

    key: str
    activation: object
    has_no_object: bool
    prior: float | None = None

    def num_logits(self, num_classes):
        return num_classes + self.has_no_object

    def num_classes(self, logits):
        """K, real classes only."""
        return logits.shape[-1] - self.has_no_object

    def probabilities(self, logits):
        """(..., K) float32, of real classes only."""
        logits = keras.ops.cast(logits, "float32")
        probabilities = self.activation(logits)
        return probabilities[..., :-1] if self.has_no_object else probabilities

    def is_object(self, logits, least_score=0.5):
        """(...) bool: whether a query has found an object at all.

        A softmax says so itself; a sigmoid needs the least score of an object.
        """
        if self.has_no_object:
            return keras.ops.argmax(logits, axis=-1) != logits.shape[-1] - 1
        scores = keras.ops.max(self.probabilities(logits), axis=-1)
        return scores > least_score

    def bias_initializer(self):
        if self.prior is None:
            return "zeros"
        odds = self.prior / (1 - self.prior)
        return keras.initializers.Constant(math.log(odds))


# Carion et al. 2020 (DETR), section 3.1.
SOFTMAX = Classifier("logits", keras.ops.softmax, has_no_object=True)
# Lin et al. 2017 (RetinaNet), section 3.3 and, for the prior, section 4.1.
SIGMOID = Classifier(
    "sigmoid_logits", keras.ops.sigmoid, has_no_object=False, prior=0.01
)
CLASSIFIERS = {"softmax": SOFTMAX, "sigmoid": SIGMOID}


def classifier_of(outputs):
    """The kind of a detector's outputs.

    Raises:
        ValueError: If they have the logits of neither kind, or of both.
    """
    found = [x for x in (SOFTMAX, SIGMOID) if x.key in outputs]
    if len(found) != 1:
        raise ValueError(
            "A detector's outputs must have either 'logits', (..., K + 1) of a "
            "softmax, the last one 'no object', or 'sigmoid_logits', (..., K), "
            f"one for each class. Received: {sorted(outputs)}"
        )
    return found[0]
