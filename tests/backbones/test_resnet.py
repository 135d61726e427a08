import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_resnet
from keras_vtr.models.detr.features import RESNETS
from tests.layer_checks import to_numpy
from tests.tiny_models import TINY_RESNET
from tests.tiny_models import randomize_norms

# torchvision's, with scale and offset of each norm and a classifier of 1,000.
TORCHVISION = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
}


@pytest.mark.parametrize(
    ("name", "convolutions", "channels"),
    [
        ("resnet18", 11_166_912, 4_800),
        ("resnet34", 21_267_648, 8_512),
        ("resnet50", 23_454_912, 26_560),
        ("resnet101", 42_394_816, 52_672),
    ],
)
def test_torchvision_s_parameters(name, convolutions, channels):
    resnet = build_resnet(**RESNETS[name])
    trained = sum(np.prod(x.shape) for x in resnet.trainable_weights)
    assert trained == convolutions
    frozen = sum(np.prod(x.shape) for x in resnet.non_trainable_weights)
    assert frozen == 4 * channels
    classifier = 1000 * (resnet.output[-1].shape[-1] + 1)
    assert trained + 2 * channels + classifier == TORCHVISION[name]


BLOCKS = pytest.mark.parametrize("block", ["bottleneck", "basic"])


@BLOCKS
@pytest.mark.parametrize("dilation", [False, True])
@pytest.mark.parametrize("sides", [(64, 96), (33, 49)])
def test_each_stage_halves_the_map_and_doubles_its_features(
    sides, dilation, block, rng
):
    options = {**TINY_RESNET, "dilation": dilation, "block": block}
    resnet = build_resnet((None, None, 3), **options)
    first = 8 if block == "basic" else 32
    images = rng.normal(size=(2, *sides, 3)).astype("float32")
    for i, feature_map in enumerate(resnet(images)):
        stride = 4 * 2 ** (2 if dilation and i == 3 else i)
        expected = (2, *(-(-x // stride) for x in sides), first * 2**i)
        assert tuple(feature_map.shape) == expected


def test_dilation_changes_no_weight_and_sees_the_same_field(rng):
    plain = build_resnet((None, None, 3), **TINY_RESNET)
    dilated = build_resnet((None, None, 3), **TINY_RESNET, dilation=True)
    randomize_norms(plain, rng)
    dilated.set_weights(plain.get_weights())
    images = rng.normal(size=(1, 128, 128, 3)).astype("float32")
    coarse = to_numpy(plain(images)[-1])
    fine = to_numpy(dilated(images)[-1])
    assert coarse.shape == (1, 4, 4, 256) and fine.shape == (1, 8, 8, 256)
    assert np.isfinite(fine).all()


@pytest.mark.parametrize(
    ("dilation", "block"),
    [(False, "bottleneck"), (True, "bottleneck"), (True, "basic")],
)
def test_gradients_reach_every_kernel(dilation, block, rng):
    options = {**TINY_RESNET, "dilation": dilation, "block": block}
    resnet = build_resnet((32, 32, 3), **options)
    last = keras.Model(resnet.input, resnet.output[-1])
    before = last.get_weights()
    last.compile(keras.optimizers.SGD(1.0), loss="mse")
    images = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    last.fit(images, np.ones(last(images).shape), verbose=0)
    for weight, old in zip(last.weights, before, strict=True):
        changed = not np.array_equal(keras.ops.convert_to_numpy(weight), old)
        assert changed == weight.path.endswith("kernel"), weight.path


@pytest.mark.parametrize(
    ("sides", "dilation", "block"),
    [
        ((64, 64), False, "bottleneck"),
        ((45, 77), True, "bottleneck"),
        ((31, 33), False, "bottleneck"),
        ((45, 77), True, "basic"),
        ((31, 33), False, "basic"),
    ],
)
def test_padding_does_not_change_the_features_of_an_image(
    sides, dilation, block, rng
):
    options = {**TINY_RESNET, "dilation": dilation, "block": block}
    resnet = build_resnet((None, None, 3), **options, padding_mask=True)
    randomize_norms(resnet, rng)
    image = rng.normal(size=(1, *sides, 3)).astype("float32")
    alone = resnet(
        {"images": image, "padding_mask": np.ones((1, *sides), bool)}
    )
    padded = rng.normal(size=(1, 83, 97, 3)).astype("float32")  # not zeros
    mask = np.zeros((1, 83, 97), bool)
    padded[:, : sides[0], : sides[1]] = image
    mask[:, : sides[0], : sides[1]] = True
    among = resnet({"images": padded, "padding_mask": mask})
    for expected, found in zip(
        alone["feature_maps"], among["feature_maps"], strict=True
    ):
        _, height, width, _ = expected.shape
        np.testing.assert_allclose(
            to_numpy(found)[:, :height, :width], to_numpy(expected), atol=1e-4
        )
    found = to_numpy(among["padding_mask"])[0]
    assert found[:height, :width].all() and found.sum() == height * width
    assert to_numpy(alone["padding_mask"]).all()


def test_a_resnet_without_stages_is_refused():
    with pytest.raises(ValueError, match=r"Received: num_blocks=\(\)"):
        build_resnet(num_blocks=())


def test_a_block_s_kind_must_be_known():
    with pytest.raises(ValueError, match="`block` must be one of"):
        build_resnet(block="wide")


def test_only_what_follows_the_omitted_stride_is_dilated():
    resnet = build_resnet(
        (64, 64, 3), (1, 2), width=8, dilation=True, block="basic"
    )
    rates = [
        resnet.get_layer(f"stage_1_block_{i}_convolution_{j}").dilation_rate
        for i in range(2)
        for j in range(2)
    ]
    assert rates == [1, 2, 2, 2]  # as timm's resnet18 with output_stride=16
