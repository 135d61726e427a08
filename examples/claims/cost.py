"""Claim: attention to all pixels costs the fourth power of an image's side.

    python examples/claims/cost.py

Took 6 minutes on one busy core; `--short` less. One layer of 64 channels, 8
heads, on one square image: each pixel attends to all pixels; to those near it
(Ramachandran et al. 2019); patches of 8 x 8 pixels attend to all patches
(Dosovitskiy et al. 2020), with the cutting and embedding counted in; and a
convolution. What this gives stands in README.md.
"""

import pathlib
import re
import statistics
import subprocess
import sys
import time

import experiment
import keras
import tensorflow as tf

from keras_vtr import layers

NUM_CHANNELS, NUM_HEADS = 64, 8
SIDES = {
    "pixels": (16, 32, 64, 96),  # 96 x 96 pixels have 680 million weights
    "neighbourhoods": (16, 32, 64, 96, 128, 256),
    "patches": (16, 32, 64, 96, 128, 256, 512),
    "convolution": (16, 32, 64, 96, 128, 256, 512),
}


class Pixels(keras.layers.Layer):
    """Every pixel attends to every pixel."""

    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(NUM_HEADS)

    def call(self, images):
        _, height, width, channels = images.shape
        tokens = keras.ops.reshape(images, (1, height * width, channels))
        return self.attention(tokens)


MAKE = {
    "pixels": Pixels,
    "neighbourhoods": lambda: layers.LocalAttention2D(
        NUM_CHANNELS, 7, num_heads=NUM_HEADS
    ),
    "patches": lambda: keras.Sequential(
        [
            layers.PatchEmbedding(NUM_CHANNELS, patch_size=8),
            layers.MultiHeadAttention(NUM_HEADS),
        ]
    ),
    "convolution": lambda: keras.layers.Conv2D(NUM_CHANNELS, 7, padding="same"),
}


def prepare(kind, side):
    """A function without arguments that runs the layer once, in a graph."""
    images = tf.random.stateless_normal((1, side, side, NUM_CHANNELS), (0, 0))
    layer = MAKE[kind]()
    layer(images[:, :16, :16])
    graph = tf.function(layer)
    return lambda: graph(images)


def peak_memory():
    """Of this process so far, in MiB.

    Linux's own number, since `resource` counts what the parent had as well.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def mebibytes(kind, side):
    """What the first call adds, in a process of its own."""
    command = [sys.executable, __file__, "memory", kind, str(side)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def measure(seed, steps, kind):
    """Milliseconds, the median of `steps` calls, and MiB, at each side."""
    for side in SIDES[kind][: None if steps > 1 else 1]:
        call = prepare(kind, side)
        call()
        times = []
        for _ in range(steps):
            begin = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - begin))
        yield {
            "side": side,
            "ms": statistics.median(times),
            "MiB": mebibytes(kind, side),
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        function = prepare(sys.argv[2], int(sys.argv[3]))
        before = peak_memory()
        function()
        print(peak_memory() - before)
    else:
        experiment.run(
            __file__,
            {kind: {"kind": kind} for kind in MAKE},
            measure,
            steps=20,
            values=["ms", "MiB"],
            x="side",
            log="xy",
        )
