"""All pixels of the true masks, as points: a choice of a user's own."""

import keras
import numpy as np

from keras_vtr.losses import MaskPoints
from keras_vtr.losses.mask_points import interpolate


@keras.saving.register_keras_serializable(package="tests")
class PixelCenters(MaskPoints):
    @staticmethod
    def points(size):
        """(height * width, 2), y and x from 0 to 1."""
        shares = [(np.arange(n) + 0.5) / n for n in size]
        points = np.stack(np.meshgrid(*shares, indexing="ij"), axis=-1)
        return points.reshape(-1, 2).astype("float32")

    def of_pairs(self, logits, masks):
        points = self.points(masks.shape[2:])
        return interpolate(logits, points), interpolate(masks, points)[:, None]

    def of_all(self, logits, masks):
        return self.of_pairs(logits, masks)
