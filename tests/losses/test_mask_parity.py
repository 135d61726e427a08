"""Losses of masks and their gradients equal transformers'."""

import numpy as np

from keras_vtr.losses import DiceTerm
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import LabelTerm
from keras_vtr.losses import MaskCrossentropyTerm
from keras_vtr.losses import detr_terms
from keras_vtr.losses import mask_terms
from tests.losses.pixel_centers import PixelCenters
from tests.parity import MARKS
from tests.parity import torch
from tests.parity import transformers

pytestmark = MARKS
NUM_QUERIES, NUM_CLASSES, NUM_TARGETS = 12, 7, 6


def random_batch(rng):
    """1 to 4 images with 0 to 6 objects each, and one layer's predictions."""
    num_images = rng.integers(1, 5)
    counts = rng.integers(0, NUM_TARGETS + 1, num_images)
    labels = rng.integers(0, NUM_CLASSES, (num_images, NUM_TARGETS))
    labels = np.where(np.arange(NUM_TARGETS) < counts[:, None], labels, -1)
    size, true_size = rng.integers(5, 12, 2), rng.integers(12, 30, 2)
    masks = rng.random((num_images, NUM_TARGETS, *true_size)) < 0.3
    shape = (num_images, NUM_QUERIES)
    y_pred = {
        "logits": rng.normal(0, 2, (*shape, NUM_CLASSES + 1)),
        "boxes": random_boxes(rng, shape),
        "masks": rng.normal(0, 4, (*shape, *size)),
    }
    y_true = {
        "labels": labels.astype("int32"),
        "boxes": random_boxes(rng, labels.shape),
        "masks": masks & (labels >= 0)[..., None, None],
    }
    return y_true, {key: x.astype("float32") for key, x in y_pred.items()}


def random_boxes(rng, shape):
    return rng.uniform(0.2, 0.4, (*shape, 4)).astype("float32")


def ours(loss, y_true, y_pred):
    """The terms, and the gradients of their sum by logits and masks."""
    import tensorflow as tf

    y_pred = {key: tf.constant(x) for key, x in y_pred.items()}
    watched = [y_pred[key] for key in ("logits", "masks")]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        terms = loss.term_values(y_true, y_pred)
        total = loss.total(terms)
    terms = {key: float(x[-1]) for key, x in terms.items()}
    return terms, [x.numpy() for x in tape.gradient(total, watched)]


def to_torch(y_true, y_pred):
    """Targets of each image without padding, and predictions in float64."""
    targets = []
    for image in range(len(y_true["labels"])):
        real = y_true["labels"][image] >= 0
        target = {
            key: torch.tensor(x[image][real]) for key, x in y_true.items()
        }
        targets.append(
            {
                "class_labels": target["labels"].long(),
                "boxes": target["boxes"].double(),
                "masks": target["masks"],
            }
        )
    predictions = {
        key: torch.tensor(x.astype("float64"), requires_grad=True)
        for key, x in y_pred.items()
    }
    return targets, predictions


def assert_equal(found, expected, names, gradients, watched):
    for ours, theirs in names.items():
        np.testing.assert_allclose(
            found[ours], float(expected[theirs]), rtol=1e-5, atol=1e-7
        )
    for gradient, tensor in zip(gradients, watched, strict=True):
        theirs = tensor.grad.numpy()
        tolerance = 1e-5 * max(abs(theirs).max(), 1e-3)
        np.testing.assert_allclose(gradient, theirs, atol=tolerance)


def test_detr_with_masks_has_their_loss_and_gradients(rng):
    from transformers.loss import loss_for_object_detection as detr

    criterion = detr.ImageLoss(
        detr.HungarianMatcher(1, 5, 2),
        NUM_CLASSES,
        0.1,
        ["labels", "boxes", "masks"],
    ).double()
    names = {"mask_loss": "loss_mask", "dice_loss": "loss_dice"}
    names["label_loss"] = "loss_ce"
    weights = {"loss_ce": 1, "loss_bbox": 5, "loss_giou": 2}
    weights |= {"loss_mask": 1, "loss_dice": 1}
    loss = HungarianLoss([*detr_terms(), *mask_terms()])
    num_empty = 0
    for _ in range(60):
        y_true, y_pred = random_batch(rng)
        num_empty += not (y_true["labels"] >= 0).any()
        targets, x = to_torch(y_true, y_pred)
        outputs = {"logits": x["logits"], "pred_boxes": x["boxes"]}
        outputs["pred_masks"] = x["masks"]
        expected = criterion(outputs, targets)
        sum(weights[key] * value for key, value in expected.items()).backward()
        found, gradients = ours(loss, y_true, y_pred)
        watched = x["logits"], x["masks"]
        assert_equal(found, expected, names, gradients, watched)
    assert num_empty > 0


def test_masks_alone_have_mask2formers_loss_and_gradients(rng, monkeypatch):
    """As EoMT is trained; all pixels of the true masks are the points."""
    from transformers.models.eomt import modeling_eomt as eomt

    config = transformers.EomtConfig(num_labels=NUM_CLASSES)
    weights = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    criterion = eomt.EomtLoss(config, weights).double()
    points = PixelCenters()
    loss = HungarianLoss(
        [
            LabelTerm(2.0),
            MaskCrossentropyTerm(5.0, points),
            DiceTerm(5.0, points),
        ]
    )
    names = {
        "label_loss": "loss_cross_entropy",
        "mask_loss": "loss_mask",
        "dice_loss": "loss_dice",
    }
    num_compared = 0
    for _ in range(40):
        y_true, y_pred = random_batch(rng)
        if min((y_true["labels"] >= 0).sum(axis=1)) == 0:
            continue  # theirs takes no image without objects
        num_compared += 1
        # Between the outer centers: beyond them they mix in zeros.
        size = y_true["masks"].shape[2:]
        y_pred["masks"] = rng.normal(
            0, 4, (*y_pred["masks"].shape[:2], *size)
        ).astype("float32")
        centers = torch.tensor(PixelCenters.points(size))[None, :, [1, 0]]
        centers = centers.double()
        monkeypatch.setattr(
            criterion,
            "sample_points_using_uncertainty",
            lambda logits, *_, centers=centers: centers.repeat(
                len(logits), 1, 1
            ),
        )
        monkeypatch.setattr(
            eomt.torch, "rand", lambda *_, centers=centers, **__: centers
        )
        targets, x = to_torch(y_true, y_pred)
        expected = criterion(
            x["masks"],
            x["logits"],
            [target["masks"].double() for target in targets],
            [target["class_labels"] for target in targets],
        )
        monkeypatch.undo()
        sum(weights[key] * value for key, value in expected.items()).backward()
        y_true = {key: y_true[key] for key in ("labels", "masks")}
        y_pred = {key: y_pred[key] for key in ("logits", "masks")}
        found, gradients = ours(loss, y_true, y_pred)
        watched = x["logits"], x["masks"]
        assert_equal(found, expected, names, gradients, watched)
    assert num_compared > 10
