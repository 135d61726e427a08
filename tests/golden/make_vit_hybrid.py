"""Makes vit_hybrid.npz: ViT-hybrid as transformers 4.57.6 computes it.

Version 5 of transformers has dropped this model, so this runs in an
environment apart:

    python3.11 -m venv /tmp/transformers4
    /tmp/transformers4/bin/pip install torch==2.13.0 transformers==4.57.6
    /tmp/transformers4/bin/python tests/golden/make_vit_hybrid.py

The weights are not stored; tests make them again from names and shapes.
"""

import json
import pathlib

import numpy as np
import torch
from transformers import BitConfig
from transformers import ViTHybridConfig
from transformers import ViTHybridForImageClassification
from transformers.models.deprecated.vit_hybrid import modeling_vit_hybrid

SIZES = [(64, 64), (96, 64)]


def random_weights(shapes, seed=0):
    """Arrays in the order of their names; norms' scales are around 1."""
    random = np.random.RandomState(seed)
    weights = {}
    for name in sorted(shapes):
        weights[name] = random.normal(0.0, 0.2, size=shapes[name])
        if "norm" in name.lower() and name.endswith("weight"):
            weights[name] += 1.0
    return {name: x.astype("float32") for name, x in weights.items()}


def make_model():
    backbone = BitConfig(
        embedding_size=64,
        hidden_sizes=[256, 512],
        depths=[1, 2],
        layer_type="bottleneck",
        global_padding="same",
        embedding_dynamic_padding=True,
        out_features=["stage2"],
    )
    config = ViTHybridConfig(
        backbone_config=backbone,
        backbone_featmap_shape=[1, 512, 8, 8],
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        image_size=64,
        patch_size=1,
        num_labels=5,
    )
    # 4.57.6 fails in its own initialization: it takes a mask token for given.
    base = modeling_vit_hybrid.ViTHybridPreTrainedModel
    base._init_weights = lambda self, module: None
    return ViTHybridForImageClassification(config).eval()


def resize_positions(model, size):
    """Its own resizing takes pixels for patches here, and fails.

    So it is done as its ViT does it.
    """
    embeddings = model.vit.embeddings
    table = embeddings.position_embeddings.detach()
    grid = tuple(side // 8 for side in size)
    rest = table[:, 1:].reshape(1, 8, 8, -1).permute(0, 3, 1, 2)
    rest = torch.nn.functional.interpolate(
        rest, size=grid, mode="bicubic", align_corners=False
    )
    rest = rest.permute(0, 2, 3, 1).reshape(1, -1, table.shape[-1])
    table = torch.cat([table[:, :1], rest], dim=1)
    embeddings.position_embeddings = torch.nn.Parameter(table)
    embeddings.patch_embeddings.image_size = size


def main():
    model = make_model()
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    weights = random_weights(shapes)
    model.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
    golden = {}
    for i, size in enumerate(SIZES):
        random = np.random.RandomState(1)
        images = random.uniform(0, 255, size=(2, *size, 3)).astype("float32")
        pixels = (images / 255 - 0.5) / 0.5
        pixels = torch.tensor(pixels.transpose(0, 3, 1, 2)).float()
        resize_positions(model, size)
        with torch.no_grad():
            output = model(pixels)
        golden[str(i)] = output.logits.numpy()
    np.savez_compressed(
        pathlib.Path(__file__).with_name("vit_hybrid.npz"),
        shapes=json.dumps(shapes),
        config=model.config.to_json_string(use_diff=False),
        **golden,
    )


if __name__ == "__main__":
    main()
