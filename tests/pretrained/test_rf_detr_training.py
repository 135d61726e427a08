"""RF-DETR learns as transformers' does, with all groups of queries."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.pretrained import add_pretrained_groups
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.files import open_weights
from keras_vtr.pretrained.loading import name_map_of
from keras_vtr.training import compile_rf_detr
from keras_vtr.training import rf_detr_loss
from tests.parity import MARKS
from tests.parity import torch
from tests.pretrained.hugging_face_folders import save_as_version_5
from tests.pretrained.rf_detr_models import BACKBONE
from tests.pretrained.rf_detr_models import NUM_CLASSES
from tests.pretrained.rf_detr_models import make_rf_detr
from tests.pretrained.rf_detr_models import pixels_of

pytestmark = MARKS
LEARNING_RATE, BACKBONE_RATE = 1e-4, 1.5e-4
LAYER_DECAY, COMPONENT_DECAY, WEIGHT_DECAY = 0.8, 0.7, 1e-4


def random_batch(rng, num_images=2, most=4):
    images = rng.uniform(0, 255, size=(num_images, 64, 64, 3))
    counts = rng.integers(1, most + 1, size=num_images)
    labels = np.full((num_images, most), -1, "int32")
    boxes = np.zeros((num_images, most, 4), "float32")
    for i, count in enumerate(counts):
        labels[i, :count] = rng.integers(0, NUM_CLASSES, size=count)
        sides = rng.uniform(0.05, 0.5, size=(count, 2))
        centers = rng.uniform(sides / 2, 1 - sides / 2)
        boxes[i, :count] = np.concatenate([centers, sides], axis=-1)
    return images.astype("float32"), {"labels": labels, "boxes": boxes}


def loss_of(model, images, y_true):
    labels = [
        {
            "class_labels": torch.tensor(x[x >= 0], dtype=torch.int64),
            "boxes": torch.tensor(boxes[x >= 0]),
        }
        for x, boxes in zip(y_true["labels"], y_true["boxes"], strict=True)
    ]
    return model(pixels_of(images), labels=labels).loss


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """transformers' model, ours with all groups, and the folder."""
    folder = tmp_path_factory.mktemp("rf_detr")
    theirs = make_rf_detr()
    save_as_version_5(theirs, folder)
    ours = from_pretrained(folder, verbose=False)
    ours = add_pretrained_groups(ours, folder)
    return theirs.train(), ours, folder


def test_loss_and_gradients_equal_theirs(pair, rng):
    theirs, ours, folder = pair
    images, y_true = random_batch(rng)
    expected = loss_of(theirs, images, y_true)
    theirs.zero_grad()
    expected.backward()
    loss = rf_detr_loss(ours)
    with tf.GradientTape() as tape:
        value = loss(y_true, ours(images, training=True))
    gradients = tape.gradient(
        value, [x.value for x in ours.trainable_variables]
    )
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    weights = name_map_of(open_weights(folder)).weights
    found = dict(theirs.named_parameters())
    largest = max(
        abs(x.grad).max() for x in found.values() if x.grad is not None
    )
    for variable, gradient in zip(
        ours.trainable_variables, gradients, strict=True
    ):
        origin = weights[variable.path]
        values = [found[x].grad.numpy() for x in origin.names]
        np.testing.assert_allclose(
            gradient,
            origin.convert(*values),
            atol=1e-5 * float(largest),
            rtol=0,
            err_msg=variable.path,
        )


def rates_of(name):
    """The authors' learning rate and weight decay of a tensor."""
    if ".backbone.backbone." in name:
        rate = BACKBONE_RATE * COMPONENT_DECAY**2
        depth = BACKBONE["out_indices"][-1] + 1
        block = re.search(r"encoder\.layer\.(\d+)\.", name)
        number = int(block[1]) + 1 if block else depth + 1
        number = 0 if "embeddings" in name else number
        rate *= LAYER_DECAY ** (depth + 1 - number)
        is_free = re.search("bias|norm|embeddings", name)
        return rate, 0.0 if is_free else WEIGHT_DECAY
    if ".decoder." in name:
        return LEARNING_RATE * COMPONENT_DECAY, WEIGHT_DECAY
    return LEARNING_RATE, WEIGHT_DECAY


def test_ten_steps_are_theirs(pair, rng):
    theirs, ours, _ = pair
    groups = [
        {"params": [x], "lr": rate, "weight_decay": decay}
        for name, x in theirs.named_parameters()
        for rate, decay in [rates_of(name)]
    ]
    optimizer = torch.optim.AdamW(groups)
    compile_rf_detr(ours, jit_compile=False)
    losses = []
    images, y_true = random_batch(rng)
    for step in range(10):
        expected = loss_of(theirs, images, y_true)
        optimizer.zero_grad()
        expected.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)
        for group in optimizer.param_groups:
            # torch adds it after the correction of the bias, Keras before.
            group["eps"] = 1e-8 / (1 - 0.999 ** (step + 1)) ** 0.5
        optimizer.step()
        found = ours.train_on_batch(images, y_true, return_dict=True)
        losses.append((float(found["loss"]), expected.item()))
    found, expected = np.transpose(losses)
    assert expected[-1] < expected[0] - 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4)
