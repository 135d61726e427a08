import pathlib

import keras
import numpy as np
import pytest

import keras_vtr
from keras_vtr.models import build_eomt
from keras_vtr.optimizers import MultiOptimizer
from keras_vtr.optimizers import layerwise_decay
from tests.tiny_models import tiny_vit

pytestmark = pytest.mark.compiled

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "addons.npz"
SGD = keras.optimizers.SGD
Adam = keras.optimizers.Adam
AdamW = keras.optimizers.AdamW


def make_model(dtype=None):
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh", name="first", dtype=dtype),
            keras.layers.Dense(2, name="second", dtype=dtype),
        ]
    )


@pytest.fixture
def batch(rng):
    return rng.normal(size=(7, 3)), rng.normal(size=(7, 2))


def fit(model, optimizer, batch, epochs=5, **options):
    model.compile(optimizer, "mse", **options)
    model.fit(*batch, batch_size=7, epochs=epochs, verbose=0)
    return model.get_weights()


def assert_equal(ours, theirs, atol=1e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


def test_equals_tensorflow_addons():
    golden = np.load(GOLDEN)
    model = make_model()
    model.set_weights([golden[f"start_{i}"] for i in range(4)])
    optimizer = MultiOptimizer(
        [("first/", SGD(0.1, momentum=0.9)), ("second/", Adam(0.01))]
    )
    weights = fit(model, optimizer, (golden["inputs"], golden["targets"]))
    assert_equal(weights, [golden[f"end_{i}"] for i in range(4)], atol=1e-5)


OUTSIDE = {
    "plain": {},
    "clipnorm": {"clipnorm": 0.05},
    "clipvalue": {"clipvalue": 0.01},
    "global clipnorm": {"global_clipnorm": 0.05},
    "moving average": {"use_ema": True, "ema_momentum": 0.8},
    "moving average every 2": {"use_ema": True, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "loss scale": {"loss_scale_factor": 128.0},
    "schedule": {
        "learning_rate": keras.optimizers.schedules.CosineDecay(0.05, 5)
    },
}


@pytest.mark.parametrize("options", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_two_equal_optimizers_inside_are_one_outside(
    options, jit_compile, batch
):
    options = {"learning_rate": 0.05, **options}
    plain, multi = make_model(), make_model()
    multi.set_weights(plain.get_weights())
    expected = fit(
        plain,
        AdamW(weight_decay=0.1, **options),
        batch,
        jit_compile=jit_compile,
    )
    inside = [(x, AdamW(1.0, weight_decay=0.1)) for x in ("first", "")]
    found = fit(
        multi, MultiOptimizer(inside, **options), batch, jit_compile=jit_compile
    )
    assert_equal(found, expected)


def test_a_rate_of_zero_freezes_its_variables(batch):
    model = make_model()
    before = model.get_weights()
    optimizer = MultiOptimizer([("first", SGD(0.0)), ("second", SGD(0.1))])
    after = fit(model, optimizer, batch)
    assert_equal(after[:2], before[:2], atol=0)
    assert all(
        not np.array_equal(*pair)
        for pair in zip(after[2:], before[2:], strict=True)
    )


def test_the_outer_rate_multiplies_and_callbacks_set_it(batch):
    models = [make_model(), make_model()]
    models[1].set_weights(models[0].get_weights())
    rates = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch)
    optimizers = SGD(0.1), MultiOptimizer([("", SGD(1.0))])
    for model, optimizer in zip(models, optimizers, strict=True):
        model.compile(optimizer, "mse")
        model.fit(*batch, epochs=4, callbacks=[rates], verbose=0)
    assert_equal(*(model.get_weights() for model in models))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy, batch):
    model = make_model(policy)
    before = model.get_weights()
    optimizer = MultiOptimizer([("first", Adam(0.01)), ("", SGD(0.1))])
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    after = fit(model, optimizer, batch)
    for old, new in zip(before, after, strict=True):
        assert np.isfinite(new).all() and not np.array_equal(old, new)


def test_the_average_is_judged_and_the_training_goes_on(batch):
    models = [make_model(), make_model()]
    models[1].set_weights(models[0].get_weights())
    options = {"use_ema": True, "ema_momentum": 0.8}
    optimizers = (
        SGD(0.1, **options),
        MultiOptimizer([("", SGD(0.1))], **options),
    )
    for model, optimizer in zip(models, optimizers, strict=True):
        model.compile(optimizer, "mse")
        swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        model.fit(*batch, epochs=4, callbacks=[swap], verbose=0)
    assert_equal(*(model.get_weights() for model in models))


def test_a_saved_run_goes_on_as_if_it_had_not_stopped(batch, tmp_path):
    pairs = [("first", SGD(0.1, momentum=0.9)), ("", AdamW(0.01))]
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 10)
    # On JAX Keras 3.15.1 can't fit twice with any optimizer's use_ema.
    use_ema = keras.backend.backend() == "tensorflow"
    optimizer = MultiOptimizer(pairs, learning_rate=schedule, use_ema=use_ema)
    model = make_model()
    fit(model, optimizer, batch, epochs=3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == optimizer.get_config()
    for x in (model, again):
        x.fit(*batch, epochs=3, verbose=0)
    assert_equal(model.get_weights(), again.get_weights(), atol=0)


def test_detrs_backbone_learns_at_a_tenth():
    detr = keras_vtr.models.build_detr(
        3,
        image_shape=(16, 16, 3),
        backbone=keras_vtr.backbones.build_convolution_stem((16, 16, 3)),
        num_queries=2,
        hidden_dim=8,
        num_heads=2,
        mlp_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=1,
    )
    optimizer = MultiOptimizer(
        [("^(convolution|norm)_", AdamW(1e-5)), ("", AdamW(1e-4))]
    )
    optimizer.build(detr.trainable_variables)
    slow = {
        variable.path.split("/")[0]
        for variable, owner in zip(
            detr.trainable_variables, optimizer.owners, strict=True
        )
        if owner == 0
    }
    backbone = detr.get_layer("convolution_stem")
    assert slow == {x.name for x in backbone.layers if x.trainable_variables}


def test_layerwise_decay_gives_each_layer_its_rate():
    vit = keras_vtr.models.build_vit(
        5,
        image_shape=(16, 16, 3),
        patch_size=8,
        hidden_dim=8,
        num_heads=2,
        mlp_dim=8,
        num_layers=3,
    )
    optimizer = layerwise_decay(AdamW(1e-3, weight_decay=0.1), 3, decay=0.5)
    optimizer.build(vit.trainable_variables)
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    rates = {}
    for variable, owner in zip(
        vit.trainable_variables, optimizer.owners, strict=True
    ):
        inside = optimizer.members[owner]
        rates[variable.path] = float(inside.learning_rate)
        is_matrix = variable.path.endswith("kernel")
        assert inside.weight_decay == (0.1 if is_matrix else 0.0)
    expected = {
        "head/kernel": 1.0,
        "encoder/norm/gamma": 1.0,
        "encoder/block_2/feed_forward/norm/beta": 0.5,
        "encoder/block_0/feed_forward/layer/inner_projection/kernel": 0.125,
        "patches/projection/kernel": 0.0625,
        "class_token/class_token": 0.0625,
        "positions/position_embedding": 0.0625,
    }
    assert {path: rates[path] for path in expected} == expected


def test_layerwise_decay_knows_what_is_new_in_a_segmenter():
    vit = tiny_vit(image_shape=(32, 32, 1), patch_size=16)
    eomt = build_eomt(3, vit, num_queries=2, num_query_blocks=1)
    adam = AdamW(1e-3, weight_decay=0.1)
    num_layers = vit.get_layer("encoder").num_layers
    optimizer = layerwise_decay(adam, num_layers, decay=0.5)
    optimizer.build(eomt.trainable_variables)
    rates = {
        variable.path: float(optimizer.members[owner].learning_rate)
        for variable, owner in zip(
            eomt.trainable_variables, optimizer.owners, strict=True
        )
    }
    first = 0.5 ** (num_layers + 1)
    for path, expected in (
        ("vit_patches/projection/kernel", first),
        ("vit_encoder/block_0/feed_forward/norm/gamma", 2 * first),
        ("vit_encoder/queries", 1.0),
        ("vit_encoder/prediction/embedding_0/kernel", 1.0),
        ("class_head/bias", 1.0),
    ):
        assert rates[path] == pytest.approx(expected), path


def test_layerwise_decay_takes_over_what_concerns_all():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    adam = AdamW(schedule, global_clipnorm=1.0, use_ema=True, beta_2=0.9)
    optimizer = layerwise_decay(adam, 2)
    assert optimizer.global_clipnorm == 1.0 and optimizer.use_ema
    assert optimizer._learning_rate.get_config() == schedule.get_config()
    assert {x.beta_2 for x in optimizer.members} == {0.9}
    with pytest.raises(ValueError, match="Received: decay=0"):
        layerwise_decay(adam, 2, decay=0)


def test_each_variable_has_one_optimizer_and_each_pattern_a_variable():
    variables = make_model().trainable_variables
    with pytest.raises(ValueError, match=r"No pattern is found in '.*second/k"):
        MultiOptimizer([("first", SGD())]).build(variables)
    with pytest.raises(ValueError, match="The pattern 'third' is found in no"):
        MultiOptimizer([("third", SGD()), ("", SGD())]).build(variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizers": []}, "at least one pair"),
        ({"optimizers": [("", "sgd")]}, "pairs .pattern, Keras optimizer."),
        (
            # A norm of 0 was given as well.
            {"optimizers": [("", SGD(clipnorm=0.0))]},
            r"\['clipnorm'\] must be given to `MultiOptimizer`",
        ),
        (
            {"optimizers": [("", keras.optimizers.Nadam())]},
            "Nadam can't work inside",
        ),
        (
            {"optimizers": [("", SGD())], "weight_decay": 0.1},
            "`weight_decay` belongs to the optimizers inside",
        ),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiOptimizer(**arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 5},
    ],
)
def test_what_replicas_cannot_do_is_refused(options, monkeypatch):
    place = "keras_vtr.optimizers.multi_optimizer.num_replicas"
    monkeypatch.setattr(place, lambda: 2)
    model = make_model()
    optimizer = MultiOptimizer([("", SGD())], **options)
    optimizer.build(model.trainable_variables)
    grads = [keras.ops.ones(x.shape) for x in model.trainable_variables]
    with pytest.raises(ValueError, match=r"do not work under `tf.distribute`"):
        optimizer._clip_gradients(grads)
