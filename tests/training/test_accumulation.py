import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.optimizers import MultiOptimizer
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr


def weight_changes(batches, **options):
    """The changes of the trainable weights by training on these batches."""
    keras.utils.set_random_seed(3)
    model = tiny_detr()
    before = model.get_weights()
    model.compile(
        MultiOptimizer([("", keras.optimizers.SGD(0.01))], **options),
        loss=HungarianLoss(),
    )
    for images, y_true in batches:
        model.train_on_batch(images, y_true)
    trained = {id(x) for x in model.trainable_variables}
    return [
        after - start
        for variable, start, after in zip(
            model.variables, before, model.get_weights(), strict=True
        )
        if id(variable) in trained
    ]


def test_the_gradients_of_accumulated_steps_are_averaged(rng):
    first, second = (batch(rng, num_images=2) for _ in range(2))
    together = weight_changes([first, second], gradient_accumulation_steps=2)
    assert max(np.abs(x).max() for x in together) > 1e-4
    for a, b, both in zip(
        weight_changes([first]), weight_changes([second]), together, strict=True
    ):
        np.testing.assert_allclose(both, (a + b) / 2, atol=1e-6)


@pytest.mark.any_backend
def test_no_weight_changes_before_the_last_accumulated_step(rng):
    for change in weight_changes([batch(rng)], gradient_accumulation_steps=2):
        assert not change.any()
