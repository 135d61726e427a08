import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.backbones import build_convolution_stem
from keras_vtr.backbones import build_vit_backbone
from keras_vtr.backbones.vit import normalization_of
from keras_vtr.models import build_detr
from tests.layer_checks import to_numpy
from tests.tiny_models import pixels
from tests.tiny_models import randomize
from tests.tiny_models import tiny_vit

EXACT = ("none", "learned_1d", "learned_2d", "sine", "rotary")


def many_leading(**change):
    """2 class tokens and 3 registers before 3 x 4 patches of 8."""
    vit = tiny_vit(
        num_class_tokens=2, num_register_tokens=3, num_heads=3, **change
    )
    return randomize(vit)


@pytest.mark.parametrize("position", [*EXACT, "relative"])
def test_the_map_is_what_the_vit_makes_of_its_patches(position, rng):
    vit = many_leading(position=position)
    backbone = build_vit_backbone(vit)
    images = pixels(rng, 2, 24, 32, 3)
    encoded = keras.Model(vit.input, vit.get_layer("encoder").output)(images)
    expected = to_numpy(encoded)[:, 5:].reshape(2, 3, 4, 12)
    mean, std = normalization_of(vit)
    found = backbone((images - mean) / std)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-4)
    assert backbone(pixels(rng, 1, 37, 8, 3)).shape == (1, 5, 1, 12)


@pytest.mark.parametrize("position", EXACT)
@pytest.mark.parametrize("sides", [(24, 40), (19, 34)])
def test_padding_changes_no_detection(position, sides, rng):
    detr = build_detr(
        3,
        size="small",
        backbone=many_leading(position=position),
        padding="exact",
        hidden_dim=8,
        num_heads=2,
    )
    images, mask = pixels(rng, 1, *sides, 3), np.ones((1, *sides), bool)
    alone = detr({"images": images, "padding_mask": mask})
    more = ((0, 0), (0, 16), (0, 7))
    mask = np.pad(mask, more)
    for value in (0.0, 200.0):  # whatever the padding is
        batch = np.pad(images, (*more, (0, 0)), constant_values=value)
        among = detr({"images": batch, "padding_mask": mask})
        for key, expected in alone.items():
            np.testing.assert_allclose(
                to_numpy(among[key]), to_numpy(expected), atol=1e-4
            )


def test_without_a_mask_sides_of_other_sizes_are_refused(rng):
    """Padding would be taken for a part of the image, and boxes be wrong."""
    options = {"size": "small", "hidden_dim": 8, "num_heads": 2}
    detr = build_detr(3, backbone=many_leading(), **options)
    assert detr(pixels(rng, 1, 40, 24, 3))["boxes"].shape == (1, 10, 4)
    with pytest.raises(ValueError, match="patch"):
        detr(pixels(rng, 1, 37, 24, 3))


def test_the_weights_are_copies_with_paths_of_their_own():
    vit = tiny_vit(num_heads=3)
    detr = build_detr(3, size="small", backbone=vit, hidden_dim=8, num_heads=2)
    paths = [weight.path for weight in detr.weights]
    assert len(set(paths)) == len(paths)
    backbone = detr.get_layer("vit")
    assert all(
        path.startswith("vit_")
        for path in (weight.path for weight in backbone.weights)
    )
    backbone.trainable = False
    assert vit.trainable_weights
    for ours, theirs in zip(backbone.weights, vit.weights, strict=False):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


@pytest.mark.parametrize("padding", [None, "published", "exact"])
def test_pixels_are_normalized_once_and_as_the_vit_was_trained(padding):
    vit = tiny_vit(num_heads=3, pixel_mean=(1, 2, 3), pixel_std=(4, 5, 6))
    options = {"size": "small", "backbone": vit, "padding": padding}
    detr = build_detr(3, **options)
    first = detr.get_layer("normalize_pixels")
    np.testing.assert_allclose(np.ravel(first.scale), [1 / 4, 1 / 5, 1 / 6])
    np.testing.assert_allclose(np.ravel(first.offset), [-1 / 4, -2 / 5, -1 / 2])
    inside = detr.get_layer("vit").layers
    assert not any("normalize" in layer.name for layer in inside)
    other = build_detr(3, pixel_mean=0.0, pixel_std=255.0, **options)
    scale = other.get_layer("normalize_pixels").scale
    np.testing.assert_allclose(np.ravel(scale), 1 / 255)


def test_what_sees_padding_is_refused_if_nothing_may():
    hybrid = tiny_vit(
        num_heads=3,
        backbone=build_bit_resnet((24, 32, 3), (1,), width=32),
        patch_size=1,
    )
    for vit, words in (
        (tiny_vit(num_heads=3, position="relative"), "RelativePositionBias"),
        (hybrid, "cut from the features of a backbone"),
    ):
        with pytest.raises(ValueError, match=words):
            build_vit_backbone(vit, padding_mask=True)
        assert build_vit_backbone(vit).output_shape[-1] == 12
        detr = build_detr(3, size="small", backbone=vit, padding="published")
        assert detr.get_layer("vit").output_shape[-1] == 12


def test_a_model_that_is_no_vit_is_refused():
    for model in (
        build_convolution_stem((24, 32, 3)),
        None,
        keras.Sequential(),
    ):
        with pytest.raises(ValueError, match="layers named 'patches' and 'enc"):
            build_vit_backbone(model)


def test_a_ready_backbone_needs_its_normalization_said():
    backbone = build_vit_backbone(tiny_vit(num_heads=3))
    with pytest.raises(ValueError, match="Or give the ViT itself"):
        build_detr(3, size="small", backbone=backbone)
    build_detr(
        3, size="small", backbone=backbone, pixel_mean=127.5, pixel_std=127.5
    )


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Rescaling(1 / 255, name="scale01"),
        keras.layers.Normalization(mean=0.5, variance=1.0, axis=None),
    ],
)
def test_pixels_that_a_detector_would_normalize_twice_are_refused(layer):
    vit = tiny_vit(num_heads=3)
    images = keras.Input((24, 32, 3))
    patches = vit.get_layer("patches")(layer(images))
    tokens = vit.get_layer("tokens")(patches)
    other = keras.Model(images, vit.get_layer("encoder")(tokens))
    with pytest.raises(ValueError, match="Rescaling named 'normalize_pixels'"):
        build_vit_backbone(other)


def test_a_frozen_vit_makes_a_trainable_backbone():
    vit = tiny_vit(num_heads=3)
    vit.trainable = False
    backbone = build_vit_backbone(vit)
    assert len(backbone.trainable_weights) == len(backbone.weights)
    assert not vit.trainable_weights


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_other_channels_and_quantized_weights_are_refused():
    vit = tiny_vit(num_heads=3)
    with pytest.raises(ValueError, match="must have the 3 channels of the ViT"):
        build_vit_backbone(vit, (24, 32, 1))
    vit.quantize("int8")
    with pytest.raises(ValueError, match="before it is quantized"):
        build_vit_backbone(vit)
