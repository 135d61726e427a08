import numpy as np
import pytest

from keras_vtr.models import build_vit
from keras_vtr.training import compile_vit
from tests.tiny_models import tiny_detr


def tiny_vit(**options):
    options = {"size": "tiny", "image_shape": (16, 16, 3), **options}
    return build_vit(2, num_layers=2, **options)


def test_the_rate_rises_falls_and_is_lower_in_earlier_layers():
    vit = compile_vit(tiny_vit(), 10, epochs=4, learning_rate=0.01)
    optimizer = vit.optimizer
    rates = [float(optimizer._learning_rate(i)) for i in (0, 2, 4, 22, 40)]
    np.testing.assert_allclose(
        rates, [0, 0.005, 0.01, 0.005, 0], rtol=1e-5, atol=1e-9
    )
    factors = {float(x.learning_rate) for x in optimizer.members}
    np.testing.assert_allclose(sorted(factors), [0.75**3, 0.75**2, 0.75, 1])


@pytest.mark.any_backend
def test_it_learns_with_accumulated_gradients():
    vit = tiny_vit()
    vit = compile_vit(
        vit,
        20,
        epochs=2,
        layer_decay=1.0,
        warmup_share=0.0,
        gradient_accumulation_steps=2,
        jit_compile=False,
    )
    rng = np.random.default_rng(0)
    labels = np.arange(8) % 2
    images = (
        rng.uniform(0, 128, (8, 16, 16, 3)) + 127 * labels[:, None, None, None]
    )
    history = vit.fit(images, labels, batch_size=4, epochs=20, verbose=0)
    assert history.history["accuracy"][-1] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` must be above 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be above 0"),
        ({"warmup_share": 1.0}, r"`warmup_share` must be in \[0, 1\)"),
        ({"layer_decay": 2.0}, r"`decay` must be in \(0, 1\]"),
    ],
)
def test_a_number_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        compile_vit(tiny_vit(), 10, **options)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="must be a ViT with one output"):
        compile_vit(tiny_detr(), 10)
