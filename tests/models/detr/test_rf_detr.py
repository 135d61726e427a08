import keras
import numpy as np
import pytest

from keras_vtr.layers import DeformableAttention
from keras_vtr.losses import HungarianLoss
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.models import add_denoising
from keras_vtr.models import add_groups
from keras_vtr.models import build_rf_detr
from keras_vtr.models.detr.rf_detr_sizes import SIZES
from keras_vtr.stages import DETR
from keras_vtr.training import compile_rf_detr
from keras_vtr.training import rf_detr_image_sizes
from keras_vtr.training import rf_detr_loss
from tests.layer_checks import to_numpy
from tests.tiny_models import pixels
from tests.tiny_models import tiny_rf_detr


def make_batch(rng):
    y_true = {
        "labels": np.array([[0, 2], [1, -1]], "int32"),
        "boxes": rng.uniform(0.3, 0.6, size=(2, 2, 4)).astype("float32"),
    }
    return pixels(rng, 2, 32, 32, 3), y_true


# transformers 5.24 has as many with the same configuration, 91 classes and one
# group, without the mask token; "base" without its last block, and with the
# positions of 560 pixels instead of DINOv2's, of 518: 231 more.
@pytest.mark.parametrize(
    ("size", "count"),
    [("nano", 26_863_278), ("base", 26_883_982), ("seg_medium", 32_402_239)],
)
def test_sizes_have_the_parameters_of_their_authors_models(size, count):
    assert build_rf_detr(91, size=size).count_params() == count


def test_every_size_has_its_blocks():
    for options in SIZES.values():
        taps = options["feature_blocks"]
        assert options["global_blocks"] == tuple(x + 1 for x in taps[:-1])
        side = options["image_side"]
        assert side % (options["patch_size"] * options["num_windows"]) == 0


@pytest.mark.any_backend
def test_any_size_of_image_can_be_read(rng):
    model = tiny_rf_detr((None, None, 3), masks=True)
    for height, width in ((32, 32), (48, 64)):
        outputs = model(pixels(rng, 1, height, width, 3))
        assert tuple(outputs["sigmoid_logits"].shape) == (1, 5, 3)
        assert tuple(outputs["masks"].shape) == (1, 5, height // 4, width // 4)
        assert tuple(outputs["auxiliary_boxes"].shape) == (1, 2, 5, 4)


@pytest.mark.compiled  # 25 steps
def test_it_learns_with_groups_and_detects_without(rng, tmp_path):
    model = tiny_rf_detr()
    images, y_true = make_batch(rng)
    training = add_groups(model, 2)
    compile_rf_detr(training, learning_rate=2e-3, backbone_learning_rate=2e-3)
    loss = training.fit(images, y_true, epochs=25, verbose=0).history["loss"]
    assert np.mean(loss[-3:]) < loss[0] - 1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for key, value in model(images).items():
        np.testing.assert_array_equal(to_numpy(again(images)[key]), value)


def test_rates_get_smaller_from_the_heads_to_the_patches():
    model = compile_rf_detr(tiny_rf_detr(), learning_rate=1.0)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    rates, decays = {}, {}
    for variable, owner in zip(
        model.trainable_variables, optimizer.owners, strict=True
    ):
        member = optimizer.members[owner]
        rates[variable.path] = float(member.learning_rate)
        decays[variable.path] = member.weight_decay
    backbone = 1.5e-4 * 0.7**2
    block = "/feed_forward/layer/inner_projection/kernel"
    for path, rate, decay in (
        ("class_head/kernel", 1.0, 1e-4),
        ("decoder/box_head_0/kernel", 1.0, 1e-4),
        ("query_selection/norm/gamma", 1.0, 1e-4),
        (f"decoder/block_1{block}", 0.7, 1e-4),
        ("decoder/box_encoding/inner_projection/kernel", 0.7, 1e-4),
        ("backbone_encoder/norm/gamma", backbone, 0.0),
        (f"backbone_encoder/block_2{block}", backbone * 0.8**2, 1e-4),
        (f"backbone_encoder/block_0{block}", backbone * 0.8**4, 1e-4),
        ("backbone_patches/projection/kernel", backbone * 0.8**5, 0.0),
    ):
        np.testing.assert_allclose(rates[path], rate, rtol=1e-6)
        assert decays[path] == decay


@pytest.mark.any_backend
def test_each_group_counts_as_the_object_queries(rng):
    images, y_true = make_batch(rng)
    model = add_groups(tiny_rf_detr(), 2)
    outputs = model(images)
    own = {k: x for k, x in outputs.items() if not k.startswith("group_")}
    groups = float(HungarianLoss(rf_detr_loss(model).terms)(y_true, outputs))
    alone = float(rf_detr_loss(tiny_rf_detr())(y_true, own))
    found = float(rf_detr_loss(model)(y_true, outputs))
    expected = alone / 3 + (groups - alone) * 2 / 3
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_masks_count_in_the_loss(rng):
    images, y_true = make_batch(rng)
    model = tiny_rf_detr(masks=True)
    y_true["masks"] = rng.random((2, 2, 8, 8)) < 0.5
    loss = rf_detr_loss(model)
    weights = {
        term.name: (term.weight, term.cost_weight) for term in loss.terms
    }
    assert weights["label_loss"] == (5.0, 2.0)
    assert weights["mask_loss"] == (5.0, 5.0)
    # The further groups have no masks, so that these count as without groups.
    groups = rf_detr_loss(add_groups(model, 2))
    own = groups.pairing_weights[""]
    found = {x.name: (own * x.weight, x.cost_weight) for x in groups.terms}
    for name in ("mask_loss", "dice_loss"):
        np.testing.assert_allclose(found[name], weights[name], rtol=1e-6)
    assert np.isfinite(float(loss(y_true, model(images))))


def test_sizes_of_training_are_the_authors():
    """rfdetr's for 384 pixels, with expanded scales."""
    sizes = rf_detr_image_sizes(384)
    assert sizes[0] == (384, 384)
    sides = [224, 256, 288, 320, 352, 384, 416, 448, 480, 512, 544]
    assert sorted(sizes) == [(side, side) for side in sides]
    with pytest.raises(ValueError, match="`side` must be a multiple"):
        rf_detr_image_sizes(400)


@pytest.mark.any_backend
def test_a_model_with_groups_is_evaluated_without(rng):
    model = tiny_rf_detr()
    training = add_denoising(add_groups(model, 2), 2)
    assert training.detector() is model and model.detector() is model
    compile_rf_detr(training, use_ema=False)
    images, y_true = make_batch(rng)
    data = [(images, y_true)]
    found = {}
    metric = CocoAveragePrecision((32, 32), data=data)
    training.fit(
        {"images": images, **y_true}, y_true, callbacks=[metric], verbose=0
    )
    found = training.history.history["val_AP"]
    assert np.isfinite(found).all()


def test_sides_that_patches_do_not_divide_are_refused(rng):
    """Padding would be taken for the image, and boxes be wrong."""
    model = tiny_rf_detr((None, None, 3))
    with pytest.raises(ValueError, match="patch"):
        model(pixels(rng, 1, 36, 32, 3))


def test_attention_is_around_boxes():
    block = tiny_rf_detr().get_layer(DETR.DECODER).block
    assert isinstance(block.cross_attention, DeformableAttention)
    assert block.cross_attention.num_heads == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "tiny"}, "`size` must be one of"),
        ({"num_queries": 17}, "must not be more than the tokens"),
        ({"hidden_dim": 18}, "must"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_rf_detr(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"component_decay": 1.5},
        {"backbone_learning_rate": -1.0},
        {"weight_decay": -1.0},
    ],
)
def test_numbers_out_of_range_are_refused(change):
    (value,) = change.values()
    with pytest.raises(ValueError, match=f"={value}"):
        compile_rf_detr(tiny_rf_detr(), **change)


def test_weights_of_unknown_pairings_are_refused():
    for weights in ({"groups": 1.0}, {"group": -1.0}):
        with pytest.raises(ValueError, match="`pairing_weights` must have"):
            HungarianLoss(pairing_weights=weights)
