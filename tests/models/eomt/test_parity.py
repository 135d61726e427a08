"""EoMT's outputs and loss equal transformers', at random weights."""

import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import eomt_terms
from keras_vtr.models import build_eomt
from keras_vtr.models import build_vit
from tests.layer_checks import to_numpy
from tests.losses.pixel_centers import PixelCenters

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="once is enough"
    ),
]

torch.set_num_threads(1)
NUM_LAYERS, NUM_BLOCKS, SIDE = 3, 2, 64
STD = 57.0  # of all channels


def reference(rng):
    from transformers import EomtForUniversalSegmentation

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
    model = EomtForUniversalSegmentation(config).double()
    for parameter in model.parameters():  # zeros and ones would hide mistakes
        noise = 0.1 * rng.normal(size=tuple(parameter.shape))
        parameter.data += torch.tensor(noise)
    return model


def ours(theirs):
    vit = build_vit(
        0,
        size="tiny",
        image_shape=(SIDE, SIDE, 3),
        hidden_dim=32,
        num_layers=NUM_LAYERS,
        num_heads=2,
        mlp_dim=128,
        num_register_tokens=4,
        layer_scale=1.0,
        pixel_mean=0.0,
        pixel_std=STD,
    )
    model = build_eomt(
        5, vit, num_queries=6, num_query_blocks=NUM_BLOCKS, mask_steps=100
    )
    tensors = {k: x.numpy() for k, x in theirs.state_dict().items()}
    for weight in model.weights:
        if not weight.path.endswith("/step"):
            weight.assign(converted(weight.path, tensors))
    return model


def converted(path, tensors):
    """The array of one of our weights."""
    embeddings = "embeddings."
    if path.startswith("vit_patches"):
        name = embeddings + "patch_embeddings.projection."
    elif path.startswith("vit_class"):
        return tensors[embeddings + "cls_token"]
    elif path.startswith("vit_register"):
        return tensors[embeddings + "register_tokens"]
    elif path.startswith("vit_positions"):
        table = tensors[embeddings + "position_embeddings.weight"]
        return np.pad(table, ((1, 0), (0, 0)))[None]
    elif path.startswith("class_head"):
        name = "class_predictor."
    elif path.endswith("queries"):
        return tensors["query.weight"][None]
    else:
        name = name_of(path.removeprefix("vit_encoder/").split("/")[:-1])
    kind = path.split("/")[-1]
    if kind == "scale":
        return tensors[name + "lambda1"]
    array = tensors[name + ("bias" if kind in ("bias", "beta") else "weight")]
    if kind != "kernel":
        return array
    if array.ndim == 2:
        return array.T
    if "enlargement" in path:  # (in, out, height, width), ours (.., out, in)
        return np.transpose(array, (2, 3, 1, 0))
    if array.shape[1] == 1 and "prediction" in path:  # depthwise
        return np.transpose(array, (2, 3, 0, 1))
    return np.transpose(array, (2, 3, 1, 0))


def name_of(parts):
    """The beginning of a tensor's name."""
    if parts[0] == "norm":
        return "layernorm."
    if parts[0] == "prediction":
        kind, _, number = parts[1].rpartition("_")
        if kind == "embedding":
            return f"mask_head.fc{int(number) + 1}."
        names = {"enlargement": "conv1", "convolution": "conv2"}
        block = f"upscale_block.block.{number}."
        return block + names.get(kind, "layernorm2d") + "."
    number = parts[0].removeprefix("block_")
    inside = {
        "self_attention layer query_projection": "attention.q_proj",
        "self_attention layer key_projection": "attention.k_proj",
        "self_attention layer value_projection": "attention.v_proj",
        "self_attention layer output_projection": "attention.out_proj",
        "self_attention norm": "norm1",
        "self_attention layer_scale": "layer_scale1",
        "feed_forward layer inner_projection": "mlp.fc1",
        "feed_forward layer output_projection": "mlp.fc2",
        "feed_forward norm": "norm2",
        "feed_forward layer_scale": "layer_scale2",
    }
    return f"layers.{number}.{inside[' '.join(parts[1:])]}."


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


def test_outputs_and_loss_are_theirs(rng, monkeypatch):
    theirs = reference(rng)
    model = ours(theirs)
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
