"""What attention costs as images grow: pixels, neighborhoods, a convolution.

    pip install -e ".[benchmarks]" && python benchmarks/local_attention.py

One layer of 64 channels on a square image, forward in a TensorFlow graph, two
threads: the median of nine calls in turns, and the peak memory that a process
of its own adds for it. Writes docs/local_attention.png. Takes 3 minutes on two
cores.
"""

import pathlib
import resource
import statistics
import subprocess
import sys
import time

from runtimes import tensorflow

SIDES = (8, 16, 32, 64, 96, 128)
NUM_CHANNELS = 64
LAYERS = {
    "attention over all pixels": "dense",
    "LocalAttention2D, 7 x 7": "local",
    "Conv2D, 7 x 7": "convolution",
}
# 96 x 96 pixels and 8 heads have 680 million weights, 2.7 GB.
DENSE_LIMIT = 96
PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "local_attention.png"


def make(kind, side):
    """A function without arguments that runs the layer once."""
    tf = tensorflow()
    import keras

    from keras_vtr import layers

    images = tf.random.stateless_normal((1, side, side, NUM_CHANNELS), (0, 0))
    if kind == "dense":
        layer = layers.MultiHeadAttention(num_heads=8)
        images = tf.reshape(images, (1, side * side, NUM_CHANNELS))
    elif kind == "local":
        layer = layers.LocalAttention2D(NUM_CHANNELS, 7, num_heads=8)
    else:
        layer = keras.layers.Conv2D(NUM_CHANNELS, 7, padding="same")
    layer(images[:, :8, :8] if kind != "dense" else images[:, :8])
    graph = tf.function(layer)
    return lambda: graph(images)


def mebibytes(kind, side):
    """Of a process of its own, which the first call adds."""
    command = [sys.executable, __file__, kind, str(side)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def peak(kind, side):
    call = make(kind, side)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


def milliseconds(call):
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def measure():
    """Kind and side to (milliseconds, MiB)."""
    cases = [
        (kind, side)
        for side in SIDES
        for kind in LAYERS.values()
        if kind != "dense" or side <= DENSE_LIMIT
    ]
    # First of all: a process inherits the peak of the one that starts it.
    memory = {case: mebibytes(*case) for case in cases}
    found = {}
    for side in SIDES:
        calls = {case: make(*case) for case in cases if case[1] == side}
        for call in calls.values():
            call()
        rounds = [
            {case: milliseconds(call) for case, call in calls.items()}
            for _ in range(9)
        ]
        for case in calls:
            median = statistics.median(times[case] for times in rounds)
            found[case] = (median, memory[case])
    return found


def draw(found):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, n, title in ((axes[0], 0, "milliseconds"), (axes[1], 1, "MiB")):
        for name, kind in LAYERS.items():
            sides = [side for side in SIDES if (kind, side) in found]
            values = [max(found[kind, side][n], 0.1) for side in sides]
            axis.plot(sides, values, marker="o", label=name)
        axis.set(xscale="log", yscale="log", xlabel="side of the image")
        axis.set(title=title, xticks=SIDES, xticklabels=SIDES)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(PICTURE, dpi=100)


def main():
    found = measure()
    print("| ms, MiB | " + " | ".join(f"{x} x {x}" for x in SIDES) + " |")
    print("|---" * (1 + len(SIDES)) + "|")
    for name, kind in LAYERS.items():
        cells = [
            "{:.1f}, {:.0f}".format(*found[kind, side])
            if (kind, side) in found
            else ""
            for side in SIDES
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    draw(found)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        peak(sys.argv[1], int(sys.argv[2]))
    else:
        main()
