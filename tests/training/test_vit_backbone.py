"""A ViT in a detector, frozen, fine-tuned layer by layer, or with LoRA."""

import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_vit_backbone
from keras_vtr.models import build_detr
from keras_vtr.training import compile_detr
from tests.layer_checks import to_numpy
from tests.tiny_models import batch
from tests.tiny_models import pixels
from tests.tiny_models import randomize
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit


def vit_detr(**options):
    """With a backbone of 2 blocks, in windows, and a map of twice the size."""
    # Gradients of queries are of any size, 0.1 to 3 thousandths of movement for
    # ten seeds, since attention is nearly even; here they are no exception.
    keras.utils.set_random_seed(5)
    vit = randomize(tiny_vit(num_heads=3, num_layers=2, num_register_tokens=2))
    backbone = build_vit_backbone(
        vit,
        feature_blocks=(0, 1),
        window_size=2,
        global_blocks=(1,),
        **options,
    )
    return build_detr(
        3,
        backbone=backbone,
        image_shape=(24, 32, 3),
        num_queries=4,
        hidden_dim=8,
        num_heads=2,
        mlp_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=1,
        dropout=0.0,
        pixel_mean=0.0,
        pixel_std=255.0,
    )


def moved_by_a_step(detr, rng):
    """How far one step moves each weight, by its path."""
    before = {x.path: to_numpy(x) for x in detr.weights}
    images, y_true = pixels(rng, 4, 24, 32, 3), batch(rng)[1]
    detr.train_on_batch(images, y_true)
    return {
        x.path: abs(to_numpy(x) - before[x.path]).max() for x in detr.weights
    }


@pytest.mark.any_backend
def test_a_frozen_vit_stays_as_it_is_and_new_layers_learn(rng, tmp_path):
    detr, _ = compile_detr(vit_detr(scales=(2,)), 1, backbone_learning_rate=0.0)
    moved = moved_by_a_step(detr, rng)
    assert moved.pop("vit_pyramid/doubling/kernel") > 1e-5
    assert moved.pop("vit_pyramid/doubling/bias") > 1e-5
    still = {path for path, change in moved.items() if change == 0}
    assert {x for x in moved if x.startswith("vit_")} <= still
    assert moved["input_projection/kernel"] > 1e-5
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    for model in (detr, again):
        trained = {x.path for x in model.trainable_variables}
        assert {x for x in trained if x.startswith("vit_")} == {
            "vit_pyramid/doubling/kernel",
            "vit_pyramid/doubling/bias",
        }
    compile_detr(detr, 1)
    assert moved_by_a_step(detr, rng)["vit_patches/projection/kernel"] > 0


@pytest.mark.any_backend
def test_each_layer_of_the_vit_has_its_rate(rng):
    detr, _ = compile_detr(
        vit_detr(),
        1,
        learning_rate=1e-2,
        backbone_learning_rate=1e-3,
        backbone_layer_decay=0.5,
        weight_decay=0.0,
        clip_norm=1e6,
    )
    moved = moved_by_a_step(detr, rng)
    # The first step of Adam moves a weight by its learning rate.
    output = "feed_forward/layer/output_projection/kernel"
    for path, rate in {
        "vit_patches/projection/kernel": 1.25e-4,
        "vit_class_token/class_token": 1.25e-4,
        f"vit_encoder/block_0/{output}": 2.5e-4,
        f"vit_encoder/block_1/{output}": 5e-4,
        "vit_encoder/norm/gamma": 1e-3,
        "input_projection/kernel": 1e-2,
        "encoder/block_0/feed_forward/norm/gamma": 1e-2,
    }.items():
        np.testing.assert_allclose(moved[path], rate, rtol=0.02)


def dense_layers(detr):
    """Those of the blocks of the backbone."""
    encoder = detr.get_layer("vit").get_layer("vit_encoder")
    return [
        layer
        for layer in encoder._flatten_layers()
        if isinstance(layer, keras.layers.Dense)
    ]


def test_lora_trains_small_matrices_and_is_merged(rng, tmp_path):
    detr = vit_detr()
    images = pixels(rng, 1, 24, 32, 3)
    before = to_numpy(detr(images)["boxes"])
    for layer in dense_layers(detr):
        layer.enable_lora(2)
    np.testing.assert_allclose(
        to_numpy(detr(images)["boxes"]), before, atol=1e-6
    )
    compile_detr(detr, 1, backbone_learning_rate=1e-2, backbone_layer_decay=0.8)
    moved = moved_by_a_step(detr, rng)
    blocks = {x: y for x, y in moved.items() if "vit_encoder/block_" in x}
    for path, change in blocks.items():
        if path.endswith("kernel"):
            assert change == 0, path
    assert all(
        change > 1e-4
        for path, change in blocks.items()
        if path.endswith("lora_kernel_b") and "key_projection" not in path
    )
    assert sum(path.endswith("lora_kernel_b") for path in blocks) == 2 * 6
    expected = to_numpy(detr(images)["boxes"])
    assert abs(expected - before).max() > 1e-5
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras", compile=False)
    assert not any("lora" in x.path for x in again.weights)
    np.testing.assert_allclose(
        to_numpy(again(images)["boxes"]), expected, atol=1e-5
    )
    detr.save_weights(tmp_path / "detr.weights.h5")
    merged = vit_detr()
    merged.load_weights(tmp_path / "detr.weights.h5")
    np.testing.assert_allclose(
        to_numpy(merged(images)["boxes"]), expected, atol=1e-5
    )


def test_a_backbone_without_blocks_has_no_layer_wise_decay():
    with pytest.raises(ValueError, match="needs a ViT as backbone"):
        compile_detr(tiny_detr(), 1, backbone_layer_decay=0.8)
    for decay in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"must be in \(0, 1\], or None"):
            compile_detr(vit_detr(), 1, backbone_layer_decay=decay)


def test_what_is_frozen_within_the_backbone_stays_frozen():
    detr = vit_detr(scales=(2,))
    backbone = next(x for x in detr.layers if isinstance(x, keras.Model))
    patches = backbone.get_layer("vit_patches")
    patches.trainable = False
    compile_detr(detr, 1, backbone_learning_rate=1e-4)
    assert not patches.trainable and backbone.trainable_variables
    # Frozen as a whole, and trained again as a whole.
    compile_detr(detr, 1, backbone_learning_rate=0.0)
    compile_detr(detr, 1, backbone_learning_rate=1e-4)
    assert patches.trainable


def test_kernels_that_lora_has_frozen_are_not_trained_by_accident():
    detr = vit_detr()
    backbone = next(x for x in detr.layers if isinstance(x, keras.Model))
    for layer in backbone._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(2)
    compile_detr(detr, 1, backbone_learning_rate=0.0)
    with pytest.raises(ValueError, match="with LoRA that was frozen as a"):
        compile_detr(detr, 1, backbone_learning_rate=1e-4)


def test_the_default_loss_suits_the_classifier_and_the_boxes():
    loss = compile_detr(tiny_detr(), 1)[0].loss
    names = [type(term).__name__ for term in loss.terms]
    assert names[:2] == ["LabelTerm", "BoxTerm"]
    modern = tiny_detr(size="modern_small", num_queries=3)
    loss = compile_detr(modern, 1)[0].loss
    names = [type(term).__name__ for term in loss.terms]
    assert names[:3] == ["IoUAwareTerm", "RelativeBoxTerm", "GIoUTerm"]
