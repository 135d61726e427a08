import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_convolution_stem
from keras_vtr.backbones import build_resnet
from keras_vtr.models import DetectionModel
from keras_vtr.models import build_detr
from tests.layer_checks import to_numpy
from tests.tiny_models import color_detr
from tests.tiny_models import pixels


def test_outputs_have_their_documented_names_shapes_and_types(rng):
    detr = color_detr()
    assert isinstance(detr, DetectionModel)
    outputs = detr(pixels(rng, 2, 32, 48, 3))
    shapes = {key: tuple(value.shape) for key, value in outputs.items()}
    assert shapes == {
        "logits": (2, 5, 8),
        "boxes": (2, 5, 4),
        "auxiliary_logits": (2, 2, 5, 8),
        "auxiliary_boxes": (2, 2, 5, 4),
    }
    assert (to_numpy(outputs["boxes"]) > 0).all()
    assert (to_numpy(outputs["boxes"]) < 1).all()


@pytest.mark.parametrize(
    "change", [{"auxiliary_outputs": False}, {"num_decoder_layers": 1}]
)
def test_auxiliary_outputs_can_be_left_out(change):
    detr = color_detr(**change)
    assert sorted(detr.output) == ["boxes", "logits"]


def test_images_of_any_size(rng):
    detr = color_detr(image_shape=(None, None, 3))
    for height, width in ((32, 48), (40, 24)):
        outputs = detr(pixels(rng, 1, height, width, 3))
        assert tuple(outputs["logits"].shape) == (1, 5, 8)


def test_a_batch_of_two_equals_two_batches_of_one(rng):
    detr = color_detr()
    images = pixels(rng, 2, 32, 48, 3)
    together = detr(images)
    for i in range(2):
        alone = detr(images[i : i + 1])
        for key, value in together.items():
            np.testing.assert_allclose(
                to_numpy(value)[i], to_numpy(alone[key])[0], atol=1e-5
            )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_heads_answer_in_float32_under_every_policy(rng, policy):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        detr = color_detr()
    finally:
        keras.config.set_dtype_policy(before)
    outputs = detr(pixels(rng, 2, 32, 48, 3))
    for value in outputs.values():
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        assert np.isfinite(to_numpy(value)).all()
    assert detr.get_layer("encoder").compute_dtype == policy[6:]


def test_pixels_are_normalized_in_the_first_layer(rng):
    detr = color_detr()
    first = keras.Model(detr.input, detr.get_layer("normalize_pixels").output)
    images = pixels(rng, 2, 32, 48, 3)
    expected = (images - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(to_numpy(first(images)), expected, atol=1e-4)


def test_one_number_serves_all_channels(rng):
    detr = color_detr(pixel_mean=127.5, pixel_std=127.5)
    first = keras.Model(detr.input, detr.get_layer("normalize_pixels").output)
    images = np.full((1, 32, 48, 3), 255.0, "float32")
    np.testing.assert_allclose(to_numpy(first(images)), 1.0, atol=1e-6)


def test_any_feature_extractor_serves_as_backbone(rng):
    images = keras.Input((32, 48, 1))
    backbone = keras.Model(images, keras.layers.Conv2D(9, 8, 8)(images))
    detr = color_detr(
        image_shape=(32, 48, 1),
        backbone=backbone,
        pixel_mean=0.0,
        pixel_std=255.0,
    )
    outputs = detr(pixels(rng, 2, 32, 48, 1))
    assert tuple(outputs["boxes"].shape) == (2, 5, 4)


def test_a_stage_can_be_cut_out_and_wired_anew(rng):
    detr = color_detr()
    memory = keras.Model(detr.input, detr.get_layer("encoder").output)
    assert tuple(memory(pixels(rng, 2, 32, 48, 3)).shape) == (2, 24, 12)


@pytest.mark.any_backend
def test_the_paper_s_transformer_has_its_parameters():
    # facebookresearch/detr at its defaults: 6 + 6 layers of width 256, 100
    # queries, 91 classes and "no object". Counted from the shapes: attention
    # 4 (256 * 256 + 256), feed-forward 256 * 2048 * 2 + 2048 + 256, a norm 512.
    attention, feed_forward, norm = 263_168, 1_050_880, 512
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm) + norm
    detr = build_detr(num_classes=91)
    assert detr.get_layer("encoder").count_params() == encoder == 7_890_432
    assert detr.get_layer("decoder").count_params() == decoder == 9_473_024
    assert detr.get_layer("object_queries").count_params() == 100 * 256
    heads = ["class_head", "box_head_0", "box_head_1", "box_head_2"]
    counts = [detr.get_layer(name).count_params() for name in heads]
    assert counts == [257 * 92, 257 * 256, 257 * 256, 257 * 4]
    assert detr.get_layer("input_projection").count_params() == 2049 * 256
    norms = sum(x.shape[0] for x in detr.non_trainable_weights)
    assert norms == 4 * 26_560
    assert detr.count_params() - norms == 41_524_768


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("backbone", "count"), [("resnet18", 28_843_552), ("resnet34", 38_944_288)]
)
def test_smaller_resnets_make_smaller_detrs(backbone, count):
    detr = build_detr(91, backbone=backbone)
    norms = sum(x.shape[0] for x in detr.non_trainable_weights)
    assert detr.count_params() - norms == count
    # All else is ResNet-50's DETR, but for a narrower input projection.
    resnet = detr.get_layer(backbone)
    trained = sum(np.prod(x.shape) for x in resnet.trainable_weights)
    assert count - trained == 41_524_768 - 23_454_912 - (2048 - 512) * 256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 0}, "Received: num_classes=0"),
        ({"hidden_dim": 14, "num_heads": 2}, "must be a multiple of 4"),
        ({"num_heads": 5}, "hidden_dim=12, num_heads=5"),
        ({"image_shape": (32, 48)}, "Received: image_shape="),
        ({"image_shape": (32, 48, None)}, "Received: image_shape="),
        ({"image_shape": (32, 48, 1)}, "only for color images is there a def"),
        ({"pixel_mean": 0.0}, "must both be given"),
        (
            {"pixel_mean": [0.0, 0.0], "pixel_std": 255.0},
            "`pixel_mean` must be one number or one for each of the 3",
        ),
        ({"num_queries": 0}, "Received: num_queries=0"),
        ({"num_encoder_layers": -1}, "Received: num_layers=-1"),
        ({"num_decoder_layers": 0}, "Received: num_layers=0"),
        ({"dropout": 1.0}, "Received: dropout=1.0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(change, message):
    stem = build_convolution_stem((32, 48, 3))
    with pytest.raises(ValueError, match=message):
        color_detr(**{**change, "backbone": stem})


def test_a_backbone_without_a_feature_map_is_refused():
    images = keras.Input((32, 48, 3))
    pooled = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    with pytest.raises(ValueError, match=r"to one feature map \(B, height"):
        color_detr(backbone=pooled)


def test_images_of_the_wrong_rank_are_refused():
    detr = color_detr()
    with pytest.raises(ValueError, match=r"expected shape=\(None, 32, 48, 3\)"):
        detr(np.ones((32, 48, 3), "float32"))


def padded(rng):
    """An image alone, and the same one padded within a batch of two."""
    alone = pixels(rng, 1, 40, 56, 3)
    together = pixels(rng, 2, 75, 97, 3)
    mask = np.ones((2, 75, 97), bool)
    together[0, :40, :56] = alone[0]
    mask[0, 40:] = mask[0, :, 56:] = False
    return (
        {"images": alone, "padding_mask": np.ones((1, 40, 56), bool)},
        {"images": together, "padding_mask": mask},
    )


def resnet(padding, dilation=False):
    return build_resnet(
        (None, None, 3),
        (1, 1, 1, 2),
        width=8,
        dilation=dilation,
        padding_mask=padding == "exact",
    )


@pytest.mark.any_backend
@pytest.mark.parametrize(("dilation", "masks"), [(False, True), (True, False)])
def test_an_image_has_the_same_detections_whatever_it_is_padded_to(
    dilation, masks, rng
):
    detr = color_detr(
        image_shape=(None, None, 3),
        backbone=resnet("exact", dilation),
        padding="exact",
        hidden_dim=16,
        num_heads=8,
        masks=masks,
    )
    randomize(detr, rng)
    alone, together = padded(rng)
    expected, found = detr(alone), detr(together)
    for key in ("logits", "boxes", "auxiliary_logits", "auxiliary_boxes"):
        np.testing.assert_allclose(
            to_numpy(found[key])[0], to_numpy(expected[key])[0], atol=1e-4
        )
    assert to_numpy(expected["logits"]).std() > 0.05
    assert ("masks" in found) == masks


def test_published_padding_is_zero_and_hidden_from_attention(rng):
    detr = color_detr(
        image_shape=(None, None, 3),
        backbone=resnet("published"),
        padding="published",
    )
    randomize(detr, rng)
    _, together = padded(rng)
    expected = to_numpy(detr(together)["logits"])
    together["images"][0, 40:] = 200.0
    np.testing.assert_array_equal(to_numpy(detr(together)["logits"]), expected)


def randomize(model, rng):
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith("gamma"):
            weight.assign(rng.uniform(0.3, 1.0, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(rng.normal(0.0, 0.2, weight.shape))


def test_fully_padded_images_give_finite_outputs(rng):
    detr = color_detr(
        image_shape=(None, None, 3), backbone=resnet("exact"), padding="exact"
    )
    _, together = padded(rng)
    together["padding_mask"][0] = False
    for value in detr(together).values():
        assert np.isfinite(to_numpy(value)).all()


@pytest.mark.parametrize(
    ("padding", "backbone", "message"),
    [
        ("same", "exact", "Received: padding='same'"),
        ("exact", "published", "needs a backbone with a second input"),
        (None, "exact", "with two inputs"),
        ("published", "exact", "with two inputs"),
    ],
)
def test_padding_and_backbone_must_fit(padding, backbone, message):
    with pytest.raises(ValueError, match=message):
        color_detr(
            image_shape=(None, None, 3),
            backbone=resnet(backbone),
            padding=padding,
        )


@pytest.mark.parametrize("padding", ["exact", "published"])
def test_a_padding_mask_of_another_size_is_refused(padding, rng):
    detr = color_detr(
        image_shape=(None, None, 3), backbone=resnet(padding), padding=padding
    )
    _, together = padded(rng)
    together["padding_mask"] = together["padding_mask"][:, :70]
    with pytest.raises(ValueError, match="height and width of the images"):
        detr(together)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="Received: backbone='resnet19'"):
        color_detr(backbone="resnet19")


@pytest.mark.any_backend
def test_the_mask_head_draws_as_fine_as_the_finest_map(rng):
    detr = color_detr(
        image_shape=(None, None, 3),
        backbone=resnet(None),
        hidden_dim=16,
        num_heads=8,
        masks=True,
    )
    masks = detr(pixels(rng, 2, 45, 70, 3))["masks"]
    assert tuple(masks.shape) == (2, 5, 12, 18)


@pytest.mark.any_backend
def test_class_names_are_saved_with_the_model(tmp_path):
    names = ("cat", None, "dog", "a", "b", "c", "d")
    detr = color_detr(class_names=list(names))
    assert detr.class_names == names
    detr.save(tmp_path / "detr.keras")
    assert keras.models.load_model(tmp_path / "detr.keras").class_names == names
    assert color_detr().class_names is None
    with pytest.raises(ValueError, match="each of the 7 classes"):
        color_detr(class_names=["cat"])
