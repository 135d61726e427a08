"""Losses, their gradients and the post-processing equal transformers'."""

import types

import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import detr_terms
from keras_vtr.losses import sigmoid_terms
from keras_vtr.losses.matching import assign
from keras_vtr.losses.matching import pairwise_cost
from keras_vtr.models import decode_detections
from tests.parity import MARKS
from tests.parity import torch
from tests.parity import transformers

pytestmark = MARKS
NUM_LAYERS, NUM_QUERIES, NUM_CLASSES = 6, 100, 91
# Targets are padded to one of these, so that few shapes are compiled.
LENGTHS = (0, 25, 100)
# The terms of DETR's loss, and of RF-DETR's with its K logits.
LOSSES = {"logits": detr_terms, "sigmoid_logits": sigmoid_terms}
TERMS = {
    "label_loss": "loss_ce",
    "box_loss": "loss_bbox",
    "giou_loss": "loss_giou",
    "cardinality_error": "cardinality_error",
}


def random_batch(rng):
    """1 to 8 images with 0 to 100 objects each, and 6 layers' predictions."""
    num_images = rng.integers(1, 9)
    most = rng.choice(LENGTHS, p=(0.1, 0.8, 0.1))
    counts = rng.integers(0, most + 1, size=num_images)
    labels = np.full((num_images, most), -1, "int32")
    boxes = np.zeros((num_images, most, 4), "float32")
    for i, count in enumerate(counts):
        labels[i, :count] = rng.integers(0, NUM_CLASSES, size=count)
        boxes[i, :count] = random_boxes(rng, (count,))
    shape = (num_images, NUM_LAYERS, NUM_QUERIES)
    logits = rng.normal(0, 2, size=(*shape, NUM_CLASSES + 1))
    predicted = random_boxes(rng, shape)
    if rng.random() < 0.5:  # as a trained model: some queries stand out
        for i, count in enumerate(counts):
            chosen = rng.permutation(NUM_QUERIES)[:count]
            noise = rng.normal(0, 0.01, size=(NUM_LAYERS, count, 4))
            near = np.clip(boxes[i, :count] + noise, 0.001, 1)
            predicted[i][:, chosen] = near
            logits[i][:, chosen, labels[i, :count]] += 8
    y_true = {"labels": labels, "boxes": boxes}
    return y_true, logits.astype("float32"), predicted.astype("float32")


def random_boxes(rng, shape):
    sides = rng.uniform(0.02, 0.5, size=(*shape, 2))
    centers = rng.uniform(sides / 2, 1 - sides / 2)
    return np.concatenate([centers, sides], axis=-1)


def ours(key, y_true, logits, boxes):
    """Terms of each layer, loss, and its gradients."""
    import tensorflow as tf

    loss = HungarianLoss(LOSSES[key]())
    logits, boxes = tf.constant(logits), tf.constant(boxes)
    with tf.GradientTape() as tape:
        tape.watch([logits, boxes])
        terms = loss.term_values(
            y_true,
            {
                key: logits[:, -1],
                "boxes": boxes[:, -1],
                f"auxiliary_{key}": logits[:, :-1],
                "auxiliary_boxes": boxes[:, :-1],
            },
        )
        total = loss.total(terms)
    gradients = tape.gradient(total, [logits, boxes])
    terms = {key: value.numpy() for key, value in terms.items()}
    return terms, total.numpy(), [x.numpy() for x in gradients]


def our_assignment(key, y_true, logits, boxes):
    """(B, L, M), by cost and matcher."""
    y_pred = {key: logits, "boxes": boxes}
    cost = keras.ops.convert_to_numpy(
        pairwise_cost(LOSSES[key](), y_true, y_pred)
    )
    is_target = np.repeat(y_true["labels"] >= 0, NUM_LAYERS, axis=0)
    problems = cost.reshape(len(is_target), *cost.shape[2:])
    found = assign(problems, is_target)
    return keras.ops.convert_to_numpy(found).reshape(cost.shape[:3]), cost


def their_criterion(key, found):
    """Their loss, which adds to `found` what it matches.

    RF-DETR's is LW-DETR's; `loss_rf_detr` adds masks to it.
    """
    from transformers.loss import loss_for_object_detection as detr
    from transformers.loss import loss_lw_detr as lw_detr

    names = ["labels", "boxes", "cardinality"]
    if key == "logits":
        matcher = detr.HungarianMatcher(1, 5, 2)
    else:
        matcher = lw_detr.LwDetrHungarianMatcher(2, 5, 2)

    def remember(*arguments, **options):
        found.append(matcher(*arguments, **options))
        return found[-1]

    if key == "logits":
        return detr.ImageLoss(remember, NUM_CLASSES, 0.1, names).double()
    return lw_detr.LwDetrImageLoss(
        remember, NUM_CLASSES, 0.25, names, group_detr=1
    ).double()


def theirs(key, y_true, logits, boxes):
    """Everything in float64."""
    found = []
    criterion = their_criterion(key, found)
    logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor(boxes, dtype=torch.float64, requires_grad=True)
    targets = [
        {
            "class_labels": torch.tensor(labels[labels >= 0].astype("int64")),
            "boxes": torch.tensor(y[labels >= 0].astype("float64")),
        }
        for labels, y in zip(y_true["labels"], y_true["boxes"], strict=True)
    ]
    layers = [
        {"logits": logits[:, i], "pred_boxes": boxes[:, i]}
        for i in range(NUM_LAYERS)
    ]
    terms = criterion({**layers[-1], "auxiliary_outputs": layers[:-1]}, targets)
    weights = {"loss_ce": 1, "loss_bbox": 5, "loss_giou": 2}
    total = sum(
        weights[key.rstrip("_0123456789")] * value
        for key, value in terms.items()
        if key.startswith("loss")
    )
    total.backward()
    in_order = {
        name: np.array(
            [float(terms[f"{theirs}_{i}"]) for i in range(NUM_LAYERS - 1)]
            + [float(terms[theirs])]
        )
        for name, theirs in TERMS.items()
    }
    gradients = [logits.grad.numpy(), boxes.grad.numpy()]
    return in_order, total.item(), gradients, found[1:] + found[:1]


def cost_of(cost, assignment, is_target):
    """Total cost of each problem, in float64; a tie shows as equal costs."""
    chosen = np.take_along_axis(
        cost.astype("float64"), np.maximum(assignment, 0)[..., None], axis=-1
    )[..., 0]
    return np.where(is_target[:, None], chosen, 0.0).sum(axis=-1)


@pytest.mark.parametrize("key", LOSSES)
@pytest.mark.parametrize(
    "seed",
    [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))],
)
def test_125_random_batches_have_their_loss_and_gradients(seed, key):
    rng = np.random.default_rng(seed)
    num_empty = 0
    for _ in range(125):
        y_true, logits, boxes = random_batch(rng)
        logits = logits if key == "logits" else logits[..., :-1]
        num_empty += not (y_true["labels"] >= 0).any()
        expected, total, gradients, pairs = theirs(key, y_true, logits, boxes)
        terms, loss, our_gradients = ours(key, y_true, logits, boxes)
        for name, value in expected.items():
            np.testing.assert_allclose(
                terms[name], value, rtol=1e-5, atol=1e-7, err_msg=name
            )
        np.testing.assert_allclose(loss, total, rtol=1e-5)
        kinks = at_kinks(y_true, boxes)
        assert kinks.mean() < 0.01
        smooth = [True, ~kinks[..., None]]
        for found, gradient, where in zip(
            our_gradients, gradients, smooth, strict=True
        ):
            tolerance = 1e-5 * max(abs(gradient).max(), 1e-3)
            np.testing.assert_allclose(
                found * where, gradient * where, atol=tolerance
            )
        assert_same_assignments(key, y_true, logits, boxes, pairs)
    assert num_empty > 2


def at_kinks(y_true, boxes):
    """(B, L, Q): where an edge meets a true one to float32's last digits.

    There the smaller and the larger of the two, and with them the gradient of
    generalized IoU and of the distance, depend on the rounding.
    """
    true_edges, edges = (
        np.concatenate(
            [x[..., :2] - x[..., 2:] / 2, x[..., :2] + x[..., 2:] / 2, x],
            axis=-1,
        )
        for x in (y_true["boxes"].astype("float64"), boxes.astype("float64"))
    )
    distance = abs(edges[:, :, :, None] - true_edges[:, None, None])
    return (distance < 1e-6).any(axis=(-1, -2))


def assert_same_assignments(key, y_true, logits, boxes, pairs):
    found, cost = our_assignment(key, y_true, logits, boxes)
    expected = np.full(found.shape, -1)
    for layer, of_images in enumerate(pairs):
        for image, (queries, targets) in enumerate(of_images):
            expected[image, layer, targets.numpy()] = queries.numpy()
    differ = (found != expected).any(axis=-1)
    is_target = y_true["labels"] >= 0
    ours = cost_of(cost, found, is_target)
    theirs = cost_of(cost, expected, is_target)
    # Where they differ the optimum is not unique, to float32's rounding.
    np.testing.assert_allclose(ours[differ], theirs[differ], rtol=1e-6)
    assert differ.mean() < 0.01


def test_post_processing_gives_their_scores_labels_and_boxes(rng):
    logits = rng.normal(0, 3, size=(3, 20, 6)).astype("float32")
    boxes = random_boxes(rng, (3, 20)).astype("float32")
    sizes = np.array([[480, 640], [333, 500], [800, 1066]])
    processor = transformers.DetrImageProcessorPil()
    expected = processor.post_process_object_detection(
        types.SimpleNamespace(
            logits=torch.tensor(logits), pred_boxes=torch.tensor(boxes)
        ),
        threshold=-1.0,
        target_sizes=torch.tensor(sizes),
    )
    outputs = {"logits": logits, "boxes": boxes}
    found = decode_detections(outputs, sizes)
    found = {k: keras.ops.convert_to_numpy(x) for k, x in found.items()}
    for i, image in enumerate(expected):
        order = np.argsort(-image["scores"].numpy(), kind="stable")
        for key, tolerance in (
            ("scores", 1e-6),
            ("labels", 0),
            ("boxes", 1e-3),
        ):
            value = image[key].numpy()[order]
            np.testing.assert_allclose(found[key][i], value, atol=tolerance)
