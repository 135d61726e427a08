"""EoMT's outputs and loss equal transformers', at random weights."""

import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import eomt_terms
from keras_vtr.pretrained import from_pretrained
from tests.layer_checks import to_numpy
from tests.losses.pixel_centers import PixelCenters
from tests.parity import MARKS
from tests.parity import torch
from tests.parity import transformers

pytestmark = MARKS
NUM_LAYERS, NUM_BLOCKS, SIDE = 3, 2, 64
STD = 57.0  # of all channels


def reference(rng):
    config = transformers.EomtConfig(
        hidden_size=32,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=2,
        image_size=SIDE,
        num_blocks=NUM_BLOCKS,
        num_queries=6,
        num_labels=5,
        layerscale_value=0.7,
    )
    model = transformers.EomtForUniversalSegmentation(config)
    for parameter in model.parameters():  # zeros and ones would hide mistakes
        noise = 0.1 * rng.normal(size=tuple(parameter.shape))
        parameter.data += torch.tensor(noise).float()
    return model


def ours(theirs, folder, **change):
    theirs.save_pretrained(folder)
    options = {"pixel_mean": 0.0, "pixel_std": STD, "verbose": False}
    return from_pretrained(folder, **{**options, **change})


def targets(rng):
    labels = np.array([[1, 4, -1], [0, 2, 3]], "int32")
    masks = rng.random((2, 3, SIDE // 4, SIDE // 4)) < 0.3
    return {"labels": labels, "masks": masks}


def their_loss(model, pixels, y_true, monkeypatch):
    """With all pixels of the true masks as points."""
    from transformers.models.eomt import modeling_eomt as eomt

    size = y_true["masks"].shape[2:]
    centers = torch.tensor(PixelCenters.points(size))[None, :, [1, 0]]
    monkeypatch.setattr(
        model.criterion,
        "sample_points_using_uncertainty",
        lambda logits, *_: centers.repeat(len(logits), 1, 1),
    )
    rand = torch.rand
    monkeypatch.setattr(
        eomt.torch,
        "rand",
        lambda *shape, **options: (
            centers if shape[-1] == 2 else rand(*shape, **options)
        ),
    )
    real = [x >= 0 for x in y_true["labels"]]
    pairs = list(zip(y_true["masks"], y_true["labels"], real, strict=True))
    return model(
        pixels,
        mask_labels=[torch.tensor(x[r]).float() for x, _, r in pairs],
        class_labels=[torch.tensor(x[r]).long() for _, x, r in pairs],
    )


def test_outputs_and_loss_are_theirs(rng, monkeypatch, tmp_path):
    theirs = reference(rng)
    model = ours(theirs, tmp_path, mask_steps=100)
    theirs = theirs.double()
    images = rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    pixels = torch.tensor(images.transpose(0, 3, 1, 2) / STD).double()
    theirs.eval()
    theirs.attn_mask_probs.zero_()  # annealed away
    with torch.no_grad():
        expected = theirs(pixels)
    found = model(images, training=False)
    for ours_key, key in (
        ("logits", "class_queries_logits"),
        ("masks", "masks_queries_logits"),
    ):
        np.testing.assert_allclose(
            to_numpy(found[ours_key]), expected[key].numpy(), atol=1e-4
        )
    # With masked attention of all queries, as training begins. In float32:
    # torch 2.13's attention reads the float32 mask as if it were float64.
    theirs, pixels = theirs.float().train(), pixels.float()
    theirs.attn_mask_probs.fill_(1.0)
    y_true = targets(rng)
    expected = their_loss(theirs, pixels, y_true, monkeypatch)
    found = model(images, training=True)
    np.testing.assert_allclose(
        to_numpy(found["logits"]),
        expected.class_queries_logits.detach().numpy(),
        atol=1e-4,
    )
    loss = HungarianLoss(eomt_terms(points=PixelCenters()))
    np.testing.assert_allclose(
        float(loss(y_true, found)), float(expected.loss), rtol=1e-4
    )


def test_other_sizes_and_classes_are_loaded(rng, tmp_path, capsys):
    theirs = reference(rng)
    model = ours(theirs, tmp_path, image_shape=(32, 96, 3), num_classes=3)
    shapes = {key: x.shape[1:] for key, x in model.output.items()}
    assert shapes["logits"] == (6, 4) and shapes["masks"] == (6, 8, 24)
    head = model.get_layer("class_head")
    np.testing.assert_allclose(to_numpy(head.bias), [0, 0, 0, np.log(3)])
    ours(theirs, tmp_path, image_shape=(32, 96, 3), verbose=True)
    assert "resized from 4 x 4 to 2 x 6" in capsys.readouterr().out


def test_what_is_not_computed_is_refused(rng, tmp_path):
    theirs = reference(rng)
    theirs.config.hidden_act = "swish"
    with pytest.raises(ValueError, match="hidden_act"):
        ours(theirs, tmp_path)
    theirs.config.hidden_act, theirs.config.unheard_of = "gelu", 3
    with pytest.raises(ValueError, match="unheard_of"):
        ours(theirs, tmp_path)
