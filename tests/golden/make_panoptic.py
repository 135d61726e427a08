"""Writes panoptic.npz: transformers' restatement of DETR's post-processing.

    pip install "transformers==4.57.6" "torch==2.13.0" pillow
    python tests/golden/make_panoptic.py

Version 5 of transformers has it no more (`post_process_panoptic`).
"""

import io
import pathlib
import types

import numpy as np
import PIL.Image
import torch
from transformers import DetrImageProcessor

SHAPE, TARGET = (40, 56), (61, 85)
NUM_CLASSES = 120  # of which 0 to 90 are things


def outputs(seed):
    """Blobs as masks, and about half of the queries sure of something."""
    rng = np.random.RandomState(seed)
    num_queries = 12
    labels = rng.choice([3, 17, 95, 100, 101, NUM_CLASSES], size=num_queries)
    logits = rng.normal(0, 1, size=(1, num_queries, NUM_CLASSES + 1))
    logits[0, np.arange(num_queries), labels] += rng.choice(
        [6, 12], num_queries
    )
    y, x = np.mgrid[0:10, 0:14]
    centers = rng.uniform(0, 10, size=(num_queries, 2, 1, 1))
    size = rng.uniform(0.3, 4, size=(num_queries, 1, 1))
    masks = 3 - ((y - centers[:, 0]) ** 2 + (x - centers[:, 1]) ** 2) / size
    return logits.astype("float32"), masks[None].astype("float32")


def main():
    found = {}
    for seed in range(12):
        logits, masks = outputs(seed)
        if seed == 11:
            logits[..., -1] += 50  # nothing is found
        result = DetrImageProcessor().post_process_panoptic(
            types.SimpleNamespace(
                logits=torch.tensor(logits),
                pred_masks=torch.tensor(masks),
                pred_boxes=torch.zeros((1, 12, 4)),
            ),
            [SHAPE],
            [TARGET],
        )[0]
        pixels = np.array(PIL.Image.open(io.BytesIO(result["png_string"])))
        info = result["segments_info"]
        found[f"{seed}/logits"] = logits
        found[f"{seed}/masks"] = masks
        found[f"{seed}/segments"] = pixels[..., 0]
        for key in ("category_id", "area", "isthing"):
            found[f"{seed}/{key}"] = np.array([x[key] for x in info])
    path = pathlib.Path(__file__).parent / "panoptic.npz"
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main()
