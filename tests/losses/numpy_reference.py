"""DETR's loss once more, in NumPy and float64, image by image."""

import numpy as np
from scipy import optimize

from tests.numpy_boxes import restate


def corners(box):
    return [*(box[:2] - box[2:] / 2), *(box[:2] + box[2:] / 2)]


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def match(probabilities, boxes, true_labels, true_boxes, weights):
    """Queries and targets of one image that belong together."""
    cost = np.zeros((len(true_labels), len(boxes)))
    for m, q in np.ndindex(*cost.shape):
        _, giou = restate(corners(true_boxes[m]), corners(boxes[q]))
        cost[m, q] = (
            weights["box_weight"] * np.abs(true_boxes[m] - boxes[q]).sum()
            - weights["label_weight"] * probabilities[q, true_labels[m]]
            - weights["giou_weight"] * giou
        )
    targets, queries = optimize.linear_sum_assignment(cost)
    return list(zip(targets, queries, strict=True))


def layer_terms(y_true, logits, boxes, weights):
    """The terms of one decoder layer for a batch, as DETR defines them."""
    num_boxes = max(1, (y_true["labels"] >= 0).sum())
    num_logits = logits.shape[-1]
    label_sum = weight_sum = box_sum = giou_sum = 0.0
    num_wrong = cardinality = 0
    for b in range(len(logits)):
        real = y_true["labels"][b] >= 0
        true_labels = y_true["labels"][b][real]
        true_boxes = y_true["boxes"][b][real].astype("float64")
        probabilities = softmax(logits[b].astype("float64"))
        predicted = boxes[b].astype("float64")
        answers = np.full(len(predicted), num_logits - 1)
        for m, q in match(
            probabilities, predicted, true_labels, true_boxes, weights
        ):
            answers[q] = true_labels[m]
            num_wrong += probabilities[q].argmax() != true_labels[m]
            box_sum += np.abs(true_boxes[m] - predicted[q]).sum()
            _, giou = restate(corners(true_boxes[m]), corners(predicted[q]))
            giou_sum += 1 - giou
        weight = np.where(
            answers == num_logits - 1, weights["no_object_weight"], 1.0
        )
        each = -np.log(probabilities[np.arange(len(answers)), answers])
        label_sum += (weight * each).sum()
        weight_sum += weight.sum()
        is_object = probabilities.argmax(axis=-1) != num_logits - 1
        cardinality += abs(is_object.sum() - real.sum())
    return {
        "label_loss": label_sum / weight_sum,
        "box_loss": box_sum / num_boxes,
        "giou_loss": giou_sum / num_boxes,
        "class_error": 100 * num_wrong / num_boxes,
        "cardinality_error": cardinality / len(logits),
    }
