"""The mask head of panoptic DETR, in its authors' or transformers' names."""

import numpy as np

from keras_vtr.pretrained import from_tensors
from keras_vtr.pretrained.from_tensors import FromTensors


def read_mask_head(shapes, hidden_dim):
    """Reads the names of the authors and of version 4, or of version 5."""
    is_5 = "mask_head.output_conv.weight" in shapes
    weights, head = {}, "mask_head."
    for part in ("query", "key"):
        theirs = f"bbox_attention.{part[0]}_{'proj' if is_5 else 'linear'}"
        ours = f"mask_head/attention_map/{part}_projection"
        weights |= from_tensors.dense(ours, theirs)
    for i in range(5):
        kernel, norm = f"{head}lay{i + 1}", f"{head}gn{i + 1}"
        adapter = f"{head}adapter{i - 1}"
        if is_5:
            block = f"conv{i + 1}" if i < 2 else f"fpn_stages.{i - 2}.refine"
            kernel, norm = f"{head}{block}.conv", f"{head}{block}.norm"
            adapter = f"{head}fpn_stages.{i - 2}.fpn_adapter"
        weights |= from_tensors.norm(f"mask_head/norm_{i}", norm)
        if i == 0:
            weights |= _first_convolution(kernel, hidden_dim)
            continue
        weights |= from_tensors.convolution(
            f"mask_head/convolution_{i}", kernel
        )
        if i >= 2:
            ours = f"mask_head/adapter_{i - 2}"
            weights |= from_tensors.convolution(ours, adapter)
    output = head + ("output_conv" if is_5 else "out_lay")
    return weights | from_tensors.convolution(
        "mask_head/output_convolution", output
    )


def _first_convolution(theirs, hidden_dim):
    """Ours are two: of the features (the first channels) and of the maps."""

    def features(kernel):
        return np.transpose(kernel[:, :hidden_dim], (2, 3, 1, 0))

    def maps(kernel):
        return np.transpose(kernel[:, hidden_dim:], (2, 3, 1, 0))

    names = (f"{theirs}.weight",)
    return {
        "mask_head/feature_convolution/kernel": FromTensors(names, features),
        "mask_head/attention_convolution/kernel": FromTensors(names, maps),
        "mask_head/attention_convolution/bias": FromTensors(
            (f"{theirs}.bias",)
        ),
    }
