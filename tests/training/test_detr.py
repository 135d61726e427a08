import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_resnet
from keras_vtr.losses import HungarianLoss
from keras_vtr.models import build_eomt
from keras_vtr.training import compile_detr
from tests.tiny_models import batch
from tests.tiny_models import color_detr
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit


def test_the_paper_s_numbers():
    model, schedule = compile_detr(tiny_detr(), steps_per_epoch=1000)
    backbone, rest = model.optimizer.members
    rates = [float(x.learning_rate) for x in (backbone, rest)]
    np.testing.assert_allclose(rates, [1e-5, 1e-4])
    assert backbone.weight_decay == rest.weight_decay == 1e-4
    assert model.optimizer.global_clipnorm == 0.1
    assert isinstance(model.loss, HungarianLoss)
    steps = np.array([0, 199_999, 200_002, 299_999])
    factors = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(factors, [1, 1, 0.1, 0.1])


def test_the_backbone_has_its_own_learning_rate_and_frozen_stages():
    backbone = build_resnet((32, 48, 3), (1, 1, 1, 1), width=8)
    detr, _ = compile_detr(color_detr(backbone=backbone), 10)
    detr.optimizer.build(detr.trainable_variables)
    slow = {
        variable.path.split("/")[0]
        for variable, owner in zip(
            detr.trainable_variables, detr.optimizer.owners, strict=True
        )
        if owner == 0
    }
    assert all(name.startswith("stage_") for name in slow)
    assert not any(name.startswith("stage_0_") for name in slow)
    trained = {x.path.split("/")[0] for x in detr.trainable_variables}
    assert "stem_convolution" not in trained
    assert {name[:7] for name in slow} == {"stage_1", "stage_2", "stage_3"}


def test_ema_and_gradient_accumulation_are_passed_to_the_optimizer():
    options = {"use_ema": True, "gradient_accumulation_steps": 4}
    detr, _ = compile_detr(tiny_detr(), 10, **options)
    assert detr.optimizer.use_ema
    assert detr.optimizer.gradient_accumulation_steps == 4


@pytest.mark.slow
def test_the_rate_falls_after_the_epoch_with_gradient_accumulation(rng):
    images, y_true = batch(rng, num_images=2)
    model, _ = compile_detr(
        tiny_detr(), 2, epochs=3, gradient_accumulation_steps=2
    )
    rates = []
    for _ in range(6):
        model.train_on_batch(images, y_true)
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0.1, 0.1])


@pytest.mark.slow
def test_a_single_epoch_has_the_full_rate():
    _, schedule = compile_detr(tiny_detr(), steps_per_epoch=10, epochs=1)
    assert float(schedule(9)) == 1.0
    with pytest.raises(ValueError, match="`drop_epoch` must be above 0"):
        compile_detr(tiny_detr(), 10, drop_epoch=0)


def test_a_rate_of_zero_freezes_the_backbone(rng):
    detr, _ = compile_detr(tiny_detr(), 1, backbone_learning_rate=0.0)
    stem = detr.get_layer("convolution_stem")
    before = stem.get_weights()
    images, y_true = batch(rng)
    detr.fit(images, y_true, verbose=0)
    for old, new in zip(before, stem.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_the_loss_falls(rng):
    detr, _ = compile_detr(
        tiny_detr(), 1, epochs=12, learning_rate=1e-2, clip_norm=1.0
    )
    images, y_true = batch(rng)
    losses = detr.fit(images, y_true, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_numbers_out_of_range_are_refused():
    detr = tiny_detr()
    for name, value in (
        ("steps_per_epoch", 0),
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("backbone_learning_rate", -1.0),
        ("clip_norm", -1.0),
    ):
        with pytest.raises(ValueError, match=f"Received: {name}={value}"):
            compile_detr(detr, **{"steps_per_epoch": 1, name: value})


def test_a_model_without_backbone_is_refused():
    images = keras.Input((4,))
    model = keras.Model(images, keras.layers.Dense(3)(images), name="flat")
    with pytest.raises(ValueError, match="Received: model='flat'"):
        compile_detr(model, 1)


def test_a_model_of_masks_alone_has_another_recipe():
    vit = tiny_vit(image_shape=(32, 32, 1), patch_size=16)
    eomt = build_eomt(3, vit, num_queries=2, num_query_blocks=1)
    with pytest.raises(ValueError, match=r"must predict boxes.*eomt_terms"):
        compile_detr(eomt, 1)


def test_a_backbone_whose_weights_have_others_paths_is_refused():
    images = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(4, 8, 8, name="input_projection")(images)
    detr = color_detr(backbone=keras.Model(images, x))
    with pytest.raises(ValueError, match=r"rename its layers.*input_projecti"):
        compile_detr(detr, 10)


def test_a_vit_is_a_backbone_with_a_learning_rate_of_its_own():
    vit = tiny_vit(num_heads=3)
    detr, _ = compile_detr(color_detr(backbone=vit), 10)
    detr.optimizer.build(detr.trainable_variables)
    for variable, owner in zip(
        detr.trainable_variables, detr.optimizer.owners, strict=True
    ):
        assert (owner == 0) == variable.path.startswith("vit_")
