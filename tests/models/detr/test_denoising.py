import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.models import add_denoising
from tests.layer_checks import to_numpy
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr


def pair(**change):
    detr = tiny_detr(queries="anchors", **change)
    return detr, add_denoising(detr, num_targets=2, num_groups=3)


def inputs(images, y_true):
    return {"images": images, **y_true}


@pytest.mark.any_backend
def test_queries_never_see_the_truth(rng):
    detr, model = pair()
    images, y_true = batch(rng)
    expected = detr(images)
    for _ in range(2):  # other targets, other noise: the same detections
        outputs = model(inputs(images, y_true))
        for key, value in expected.items():
            np.testing.assert_allclose(
                to_numpy(outputs[key]), to_numpy(value), atol=1e-5
            )
        y_true = batch(rng)[1]


def test_a_group_never_sees_another_one(rng):
    _, model = pair()
    images, y_true = batch(rng)
    y_true["labels"][:] = 1
    layer = model.get_layer("denoising_queries")
    layer.box_noise = layer.label_noise = 0.0
    outputs = to_numpy(model(inputs(images, y_true))["denoising_boxes"])
    groups = outputs.reshape(4, 2, 3, 2, 4)
    np.testing.assert_allclose(groups[:, :, 0], groups[:, :, 1], atol=1e-5)
    # What the first image's first object is changes nothing of other images.
    y_true["boxes"][0, 0] = (0.9, 0.9, 0.1, 0.1)
    other = to_numpy(model(inputs(images, y_true))["denoising_boxes"])
    np.testing.assert_allclose(other[1:], outputs[1:], atol=1e-6)
    assert abs(other[0] - outputs[0]).max() > 0.01


@pytest.mark.slow
def test_the_training_model_trains_the_detector(rng):
    detr, model = pair()
    images, y_true = batch(rng)
    before = detr.get_weights()
    model.compile(keras.optimizers.AdamW(1e-2), HungarianLoss())
    data = inputs(images, y_true)
    history = model.fit(data, y_true, batch_size=4, epochs=10, verbose=0)
    losses = history.history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(before, detr.get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.9
    assert not set(detr.output) & {"denoising_boxes", "denoising_logits"}


def test_the_loss_of_denoising_is_the_distance_to_the_known_targets(rng):
    y_true = {
        "labels": np.array([[1, -1], [2, 0]]),
        "boxes": rng.uniform(0.3, 0.6, size=(2, 2, 4)).astype("float32"),
    }
    predicted = rng.uniform(0.3, 0.6, size=(2, 3, 4, 4)).astype("float32")
    logits = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    outputs = {
        "logits": rng.normal(size=(2, 5, 4)).astype("float32"),
        "boxes": rng.uniform(0.3, 0.6, size=(2, 5, 4)).astype("float32"),
    }
    plain = HungarianLoss().term_values(y_true, outputs)
    outputs |= {"denoising_logits": logits, "denoising_boxes": predicted}
    loss = HungarianLoss()
    terms = loss.term_values(y_true, outputs)
    labels, boxes = (
        np.tile(y_true["labels"], 2),
        np.tile(y_true["boxes"], (2, 1)),
    )
    box_loss, label_loss = np.zeros(3), np.zeros(3)
    for image, spoiled in zip(*np.nonzero(labels >= 0), strict=True):
        distance = predicted[image, :, spoiled] - boxes[image, spoiled]
        box_loss += abs(distance).sum(axis=-1) / 6  # three objects, two groups
        exponents = np.exp(logits[image, :, spoiled])
        share = exponents[:, labels[image, spoiled]] / exponents.sum(axis=-1)
        label_loss -= np.log(share) / 6
    for name, value in (("box", box_loss), ("label", label_loss)):
        found = to_numpy(terms[f"denoising_{name}_loss"])
        np.testing.assert_allclose(found, value, rtol=1e-5)
    for name, value in plain.items():
        np.testing.assert_allclose(to_numpy(terms[name]), to_numpy(value))
    more = terms["denoising_label_loss"] + 5 * terms["denoising_box_loss"]
    more = to_numpy(more + 2 * terms["denoising_giou_loss"]).sum()
    expected = float(loss.total(plain)) + more
    np.testing.assert_allclose(float(loss.total(terms)), expected, rtol=1e-5)


def test_an_anchor_detector_is_saved_and_reloaded(rng, tmp_path):
    detr, _ = pair()
    images, _ = batch(rng)
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    for key, value in detr(images).items():
        np.testing.assert_array_equal(
            to_numpy(value), to_numpy(again(images)[key])
        )


def test_denoising_works_on_padded_images(rng):
    detr, model = pair(image_shape=(None, None, 1), padding="published")
    images, y_true = batch(rng)
    mask = np.ones((4, 16, 16), bool)
    mask[:, 8:] = False
    data = {**inputs(images, y_true), "padding_mask": mask}
    expected = detr({"images": images, "padding_mask": mask})
    np.testing.assert_allclose(
        to_numpy(model(data)["boxes"]), to_numpy(expected["boxes"]), atol=1e-5
    )


def test_learned_queries_are_refused():
    with pytest.raises(
        ValueError, match='must be built with queries="anchors"'
    ):
        add_denoising(tiny_detr(), num_targets=2)
    with pytest.raises(ValueError, match="Received: queries='boxes'"):
        tiny_detr(queries="boxes")
