import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.optimizers import MultiOptimizer
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr


def moved(batches, **options):
    """What training on these batches adds to the weights."""
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


def test_accumulated_steps_are_the_mean_of_their_gradients(rng):
    first, second = (batch(rng, num_images=2) for _ in range(2))
    together = moved([first, second], gradient_accumulation_steps=2)
    assert max(np.abs(x).max() for x in together) > 1e-4
    for a, b, both in zip(
        moved([first]), moved([second]), together, strict=True
    ):
        np.testing.assert_allclose(both, (a + b) / 2, atol=1e-6)


@pytest.mark.any_backend
def test_nothing_moves_before_the_last_of_them(rng):
    for change in moved([batch(rng)], gradient_accumulation_steps=2):
        assert not change.any()
