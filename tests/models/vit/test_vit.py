import itertools

import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.layers import RotaryPositions2D
from keras_vtr.models import build_vit
from keras_vtr.models.vit.heads import POOLINGS
from keras_vtr.models.vit.tokens import POSITIONS
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

TINY = {
    "image_shape": (12, 20, 3),
    "patch_size": 4,
    "hidden_dim": 12,
    "num_layers": 2,
    "num_heads": 3,
    "mlp_dim": 10,
}


def pixels(rng, *shape):
    return rng.uniform(0, 255, size=shape).astype("float32")


# Dosovitskiy et al. 2020, table 1 (86M, 307M, 632M with heads); Touvron et al.
# 2021, table 1 (5M, 22M); Oquab et al. 2023 (1.1B). To the last one as timm
# 1.0.31 counts them without head.
COUNTS = [
    ("tiny", 16, 224, {}, 5_524_416),
    ("small", 8, 224, {}, 21_670_272),
    ("small", 16, 224, {}, 21_665_664),
    ("base", 8, 224, {}, 85_807_872),
    ("base", 16, 224, {}, 85_798_656),
    ("base", 32, 224, {}, 87_455_232),
    ("large", 16, 224, {}, 303_301_632),
    ("huge", 14, 224, {}, 630_764_800),
    (
        "giant",
        14,
        518,
        {"activation": "swiglu", "layer_scale": 1e-5},
        1_136_479_232,
    ),
]


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("size", "patch_size", "side", "arguments", "count"), COUNTS
)
def test_parameters_are_the_papers(size, patch_size, side, arguments, count):
    """Of one and of two layers, since huge models don't fit everywhere."""
    from keras_vtr.models.vit.vit import SIZES

    one, two = (
        build_vit(
            0,
            size=size,
            patch_size=patch_size,
            image_shape=(side, side, 3),
            num_layers=num_layers,
            **arguments,
        ).count_params()
        for num_layers in (1, 2)
    )
    assert one + (SIZES[size][1] - 1) * (two - one) == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "patch_size", "num_units", "count"),
    [
        ("tiny", 8, (), 6_144_704),  # R+Ti/16
        ("small", 1, (2, 2, 2, 2), 36_046_912),  # R26+S/32
        ("base", 1, (3, 4, 9), 97_890_112),  # R50+B/16
        ("large", 1, (3, 4, 6, 3), 327_969_856),  # R50+L/32
    ],
)
def test_hybrids_have_the_papers_parameters(size, patch_size, num_units, count):
    vit = build_vit(
        0,
        size=size,
        patch_size=patch_size,
        backbone=build_bit_resnet((224, 224, 3), num_units),
    )
    assert vit.count_params() == count


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("position", "pooling"),
    [*zip(POSITIONS, itertools.cycle(POOLINGS), strict=False)],
)
def test_every_position_and_pooling_works_at_any_size(position, pooling, rng):
    fixed = build_vit(
        5, **TINY, position=position, pooling=pooling, num_register_tokens=2
    )
    free = build_vit(
        5,
        **{**TINY, "image_shape": (None, None, 3)},
        position=position,
        position_grid=(3, 5),
        pooling=pooling,
        num_register_tokens=2,
    )
    set_weights(fixed)
    free.set_weights(fixed.get_weights())
    images = pixels(rng, 2, 12, 20, 3)
    np.testing.assert_allclose(
        to_numpy(fixed(images)), to_numpy(free(images)), atol=1e-4
    )
    for size in ((8, 8), (16, 28)):
        assert tuple(free(pixels(rng, 2, *size, 3)).shape) == (2, 5)


@pytest.mark.parametrize(
    ("position", "order_counts"),
    [("none", False), ("learned_1d", True), ("sine", True)],
)
def test_without_positions_the_order_of_patches_is_no_matter(
    position, order_counts, rng
):
    vit = build_vit(5, **TINY, position=position)
    set_weights(vit)
    images = pixels(rng, 2, 12, 20, 3)
    shuffled = np.concatenate([images[:, :, 8:], images[:, :, :8]], axis=2)
    same = np.allclose(
        to_numpy(vit(images)), to_numpy(vit(shuffled)), atol=1e-4
    )
    assert same == (not order_counts)


def test_stages_can_be_cut_out_by_name(rng):
    vit = build_vit(
        5,
        **TINY,
        num_register_tokens=2,
        input_norm=keras.layers.LayerNormalization(),
        representation_dim=7,
    )
    images = pixels(rng, 2, 12, 20, 3)
    shapes = {
        "normalize_pixels": (2, 12, 20, 3),
        "patches": (2, 3, 5, 12),
        "tokens": (2, 15, 12),
        "class_token": (2, 16, 12),
        "positions": (2, 16, 12),
        "register_tokens": (2, 18, 12),
        "input_norm": (2, 18, 12),
        "encoder": (2, 18, 12),
        "pooling": (2, 12),
        "representation": (2, 7),
        "head": (2, 5),
    }
    for name, shape in shapes.items():
        part = keras.Model(vit.input, vit.get_layer(name).output)
        assert tuple(part(images).shape) == shape, name


def test_the_class_token_stands_first_and_registers_behind_it(rng):
    vit = build_vit(5, **TINY, num_register_tokens=2, position="none")
    layer = vit.get_layer("register_tokens")
    assert np.ptp(layer.get_weights()[0], axis=1).min() > 0  # they can part
    tokens = keras.Model(vit.input, layer.output)
    set_weights(vit)
    found = to_numpy(tokens(pixels(rng, 1, 12, 20, 3)))[0]
    class_token = vit.get_layer("class_token").get_weights()[0][0, 0]
    registers = vit.get_layer("register_tokens").get_weights()[0][0]
    np.testing.assert_array_equal(found[0], class_token)
    np.testing.assert_array_equal(found[1:3], registers)


def test_registers_change_nothing_that_the_mean_reads_directly(rng):
    """They are left out of the mean: with no layer mixing, no effect."""
    vit = build_vit(0, **TINY, pooling="mean", num_register_tokens=2)
    pooling = vit.get_layer("pooling")
    tokens = rng.normal(size=(2, 17, 12)).astype("float32")
    np.testing.assert_allclose(
        to_numpy(pooling(tokens)), tokens[:, 2:].mean(axis=1), atol=1e-6
    )


def test_a_distilled_model_answers_with_the_mean_of_two_heads(rng):
    vit = build_vit(5, **TINY, distilled=True)
    set_weights(vit)
    images = pixels(rng, 2, 12, 20, 3)
    heads = keras.Model(
        vit.input,
        [vit.get_layer(x).output for x in ("head", "distillation_head")],
    )
    first, second = (to_numpy(x) for x in heads(images))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(
        to_numpy(vit(images)), (first + second) / 2, atol=1e-5
    )


@pytest.mark.any_backend
def test_a_hybrid_takes_the_pixels_of_the_feature_map(rng):
    resnet = build_bit_resnet((None, None, 3), (1, 1), width=32)
    vit = build_vit(
        5,
        **{**TINY, "image_shape": (32, 48, 3), "patch_size": 1},
        backbone=resnet,
    )
    images = pixels(rng, 2, 32, 48, 3)
    assert vit.get_layer("tokens").output.shape == (None, 4 * 6, 12)
    assert tuple(vit(images).shape) == (2, 5)


@pytest.mark.slow
@pytest.mark.compiled
def test_one_batch_can_be_learned_by_heart(rng):
    vit = build_vit(
        3, **TINY, stochastic_depth=0.1, layer_scale=0.1, dropout=0.1
    )
    images, labels = pixels(rng, 6, 12, 20, 3), np.arange(6) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    vit.compile(keras.optimizers.Adam(1e-2), loss)
    vit.fit(images, labels, epochs=60, verbose=0)
    assert np.argmax(vit.predict(images, verbose=0), -1).tolist() == [
        *labels.tolist()
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_nearly_the_same(policy, rng):
    exact = build_vit(5, **TINY)
    images = pixels(rng, 2, 12, 20, 3)
    keras.config.set_dtype_policy(policy)
    try:
        mixed = build_vit(5, **TINY)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(exact.get_weights())
    found = mixed(images)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(
        to_numpy(found), to_numpy(exact(images)), atol=0.05
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_int8_stays_near_and_reloads(rng, tmp_path):
    arguments = {**TINY, "hidden_dim": 48, "mlp_dim": 96}
    images = pixels(rng, 2, 12, 20, 3)
    vit = build_vit(5, **arguments)
    exact = to_numpy(vit(images))
    vit.quantize("int8")
    found = to_numpy(vit(images))
    assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max()
    vit.save_weights(tmp_path / "int8.weights.h5")
    again = build_vit(5, **arguments)
    again.quantize("int8")
    again.load_weights(tmp_path / "int8.weights.h5")
    np.testing.assert_array_equal(to_numpy(again(images)), found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "vast"}, "`size` must be one of .* Received: size='vast'"),
        ({"position": "3d"}, "Received: position='3d'"),
        (
            {"position_rule": RotaryPositions2D()},
            "needs position='rotary'.*'learned_1d'",
        ),
        ({"pooling": "max"}, "Received: pooling='max'"),
        ({"num_classes": -1}, "`num_classes` must be an integer, 0 for no"),
        ({"num_class_tokens": 0}, "`num_class_tokens` must be 1 or more"),
        ({"distilled": True, "pooling": "mean"}, "`distilled` needs class tok"),
        ({"image_shape": (12, 20)}, "`image_shape` must be .height, width"),
        (
            {"image_shape": (13, 23, 3)},
            "Resize or pad the images; the nearest size that fits is 12 x 24.",
        ),
        (
            {"image_shape": (None, None, 3)},
            "`position_grid` must be given where height or width of",
        ),
        ({"pixel_std": 0}, "`pixel_std` must be above 0"),
        ({"pixel_mean": [1, 2]}, "one number or one for each of the 3"),
        ({"num_heads": 5}, "`num_heads` must divide the width"),
        ({"input_norm": "layer"}, "`input_norm` must be a Keras layer that is"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"num_classes": 5, **TINY, **arguments}
    with pytest.raises(ValueError, match=message):
        build_vit(**arguments)
