import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_resnet
from keras_vtr.backbones.resnet import RESNET_50
from keras_vtr.backbones.resnet import RESNET_101
from tests.layer_checks import to_numpy
from tests.tiny_models import TINY_RESNET
from tests.tiny_models import randomize_norms


@pytest.mark.parametrize(
    ("num_blocks", "convolutions", "channels"),
    [(RESNET_50, 23_454_912, 26_560), (RESNET_101, 42_394_816, 52_672)],
)
def test_torchvision_s_parameters(num_blocks, convolutions, channels):
    # torchvision's resnet50 and 101 have 25,557,032 and 44,549,160, with the
    # classifier's 2,049,000, and scale and offset of each norm.
    resnet = build_resnet(num_blocks=num_blocks)
    trained = sum(np.prod(x.shape) for x in resnet.trainable_weights)
    assert trained == convolutions
    frozen = sum(np.prod(x.shape) for x in resnet.non_trainable_weights)
    assert frozen == 4 * channels
    total = {RESNET_50: 25_557_032, RESNET_101: 44_549_160}[num_blocks]
    assert trained + 2 * channels + 2_049_000 == total


@pytest.mark.parametrize("dilation", [False, True])
@pytest.mark.parametrize("sides", [(64, 96), (33, 49)])
def test_each_stage_halves_the_map_and_doubles_its_features(
    sides, dilation, rng
):
    resnet = build_resnet((None, None, 3), **TINY_RESNET, dilation=dilation)
    images = rng.normal(size=(2, *sides, 3)).astype("float32")
    for i, feature_map in enumerate(resnet(images)):
        stride = 4 * 2 ** (2 if dilation and i == 3 else i)
        expected = (2, *(-(-x // stride) for x in sides), 32 * 2**i)
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


@pytest.mark.parametrize("dilation", [False, True])
def test_gradients_reach_every_kernel(dilation, rng):
    resnet = build_resnet((32, 32, 3), **TINY_RESNET, dilation=dilation)
    last = keras.Model(resnet.input, resnet.output[-1])
    before = last.get_weights()
    last.compile(keras.optimizers.SGD(1.0), loss="mse")
    images = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    last.fit(images, np.ones(last(images).shape), verbose=0)
    for weight, old in zip(last.weights, before, strict=True):
        changed = not np.array_equal(keras.ops.convert_to_numpy(weight), old)
        assert changed == weight.path.endswith("kernel"), weight.path


@pytest.mark.parametrize(
    ("sides", "dilation"),
    [((64, 64), False), ((45, 77), True), ((31, 33), False)],
)
def test_padding_does_not_change_the_features_of_an_image(sides, dilation, rng):
    resnet = build_resnet(
        (None, None, 3), **TINY_RESNET, dilation=dilation, padding_mask=True
    )
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
