"""Makes giou.npz: generalized IoU as tensorflow-addons 0.23.0 computes it.

TensorFlow Addons is at its last release and imports only beside TensorFlow
<= 2.15 and Keras 2, so it runs in an environment of its own (Python 3.11):

    python3.11 -m venv /tmp/addons
    /tmp/addons/bin/pip install tensorflow==2.15.1 tensorflow-addons==0.23.0
    /tmp/addons/bin/python tests/golden/make_giou.py
"""

import pathlib

import numpy as np
import tensorflow_addons as tfa


def main():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, size=(2, 300, 2, 2)), axis=-2)
    boxes1, boxes2 = corners.reshape(2, 300, 4).astype("float32")
    boxes2[:20] = boxes1[:20]  # equal
    boxes2[20:40, 2:] = boxes2[20:40, :2]  # without area
    boxes1[30:40] = boxes2[30:40]  # both without area, at the same place
    boxes1[40:60] *= 640  # pixels
    boxes2[40:60] *= 640
    boxes1[60:80, 2:] = boxes1[60:80, :2] + 1e-6  # tiny

    def to_yxyx(boxes):
        return boxes[:, [1, 0, 3, 2]]

    values = {
        mode: 1 - tfa.losses.giou_loss(to_yxyx(boxes1), to_yxyx(boxes2), mode)
        for mode in ("giou", "iou")
    }
    np.savez_compressed(
        pathlib.Path(__file__).with_name("giou.npz"),
        boxes1=boxes1,
        boxes2=boxes2,
        giou=values["giou"].numpy(),
        iou=values["iou"].numpy(),
    )


if __name__ == "__main__":
    main()
