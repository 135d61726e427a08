"""How many steps DETR needs to learn, with the paper's queries and its heirs'.

    python benchmarks/convergence.py

trains the detector of examples/train_detr.py on digit scenes with three seeds
and three kinds of queries, same budget and schedule for all, and prints after
how many steps (looked at every 250) the average precision on 300 held-out
scenes first reaches 0.70, and what it is at the end. Takes about 70 minutes on
two cores; `--methods`, `--seeds` and `--steps` do less.
"""

import argparse
import time

import keras
import tensorflow as tf

import keras_vtr

IMAGE_SHAPE = (64, 64, 1)
NUM_TARGETS = 5
EVERY = 250
GOAL = 0.70
METHODS = {
    "learned": "learned queries (DETR)",
    "anchors": "anchor queries",
    "denoising": "anchor queries, denoising",
}


def build(method):
    return keras_vtr.models.build_detr(
        num_classes=10,
        size="small",
        image_shape=IMAGE_SHAPE,
        queries="learned" if method == "learned" else "anchors",
        pixel_mean=0.0,
        pixel_std=255.0,
    )


class Watch(keras.callbacks.Callback):
    """Judges the detector itself, not the model that trains it."""

    def __init__(self, detr):
        super().__init__()
        self.detr = detr
        self.held_out = keras_vtr.data.digit_scenes(
            "held_out", batch_size=100, num_scenes=300
        )
        self.precision = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
        self.curve = []

    def on_epoch_end(self, epoch, logs=None):
        result = self.precision.evaluate(self.detr, self.held_out)
        self.curve.append(result["AP"])


def train(method, seed, num_steps):
    """The average precision every 250 steps, and seconds for all."""
    keras.utils.set_random_seed(seed)
    scenes = keras_vtr.data.digit_scenes("train", batch_size=16, seed=seed)
    detr = model = build(method)
    if method == "denoising":
        model = keras_vtr.models.add_denoising(detr, NUM_TARGETS)
        scenes = scenes.map(lambda images, y: ({"images": images, **y}, y))
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - 100, warmup_target=1.5e-3, warmup_steps=100
    )
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=1e-4, beta_2=0.98, global_clipnorm=1.0
    )
    model.compile(
        optimizer,
        keras_vtr.losses.HungarianLoss(
            keras_vtr.losses.detr_terms(label_weight=2.0)
        ),
    )
    watch = Watch(detr)
    start = time.time()
    model.fit(
        scenes,
        steps_per_epoch=EVERY,
        epochs=num_steps // EVERY,
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
    return watch.curve, time.time() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    print(f"| | seed | steps to AP {GOAL:.2f} | AP at the end | seconds |")
    print("|---|---|---|---|---|")
    for seed in arguments.seeds:
        for method in arguments.methods:
            curve, seconds = train(method, seed, arguments.steps)
            reached = [i for i, x in enumerate(curve) if x >= GOAL]
            steps = EVERY * (reached[0] + 1) if reached else "never"
            print(
                f"| {METHODS[method]} | {seed} | {steps} | {curve[-1]:.3f} | "
                f"{seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
