"""Other sizes of patches for weights that are trained."""

import numpy as np

from keras_vtr.stages import ViT

KERNEL = f"{ViT.PATCHES}/projection/kernel"


def resized_patches(weight, shape):
    """What `NameMap.adapt` returns for the kernel of the patches.

    Args:
        weight: The kernel, (size, size, C, D).
        shape: Of the file's kernel.
    """
    old, new = shape[0], weight.shape[0]
    if old == new or shape[2:] != tuple(weight.shape[2:]):
        return None
    return lambda kernel: resize_kernel(kernel, new), (
        f"Patches were resized from {old} x {old} to {new} x {new} pixels "
        "(pseudo-inverse)."
    )


def resize_kernel(kernel, size):
    """Beyer et al. 2023 (FlexiViT), section 3.4: patches that are enlarged
    bilinearly get the token that they had before.

    Args:
        kernel: (old size, old size, C, D).
        size: The new size.
    """
    inverse = np.linalg.pinv(_bilinear(len(kernel), size).T)
    resized = np.einsum("ip,jq,pqcd->ijcd", inverse, inverse, kernel)
    return resized.astype("float32")


def _bilinear(old, new):
    """The matrix (new, old) that resizes one side, between pixel centers."""
    centers = (np.arange(new) + 0.5) * old / new - 0.5
    centers = np.clip(centers, 0, old - 1)
    return np.maximum(1 - abs(centers[:, None] - np.arange(old)), 0)
