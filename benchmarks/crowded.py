"""Crowded scenes: what a detector learns of them in a quarter of an hour.

    python benchmarks/crowded.py

Up to 40 digits of 8 to 40 pixels on photographs of 256 x 256 pixels, 100
queries, batches of 8. Rows are those of convergence.py, all parts as in
examples/train_detr.py, but for two noised copies of each object, not five: of
40 objects these are 80 further queries, nearly as many as the detector's own.
"ViT" has, instead of the convolution stem and the encoder layer, a ViT from
scratch (four blocks of the same width, patches of 8, every other block in
windows). Each row is trained for the same time: how many steps these are, says
the time of a step, which is measured before, all rows in turn. Printed: average
precision and recall on 200 held-out scenes.
Takes an hour, a quarter of one for each row; `--rows`, `--seeds` and
`--minutes` change that. `--steps`, a number for each row, repeats what a faster
or slower machine did.
"""

import argparse
import functools
import statistics
import time

import keras
import tensorflow as tf
from convergence import build
from convergence import compile_model
from convergence import inputs_of
from convergence import options_of

import keras_vtr

IMAGE_SHAPE = (256, 256, 1)
NUM_TARGETS = 40
ROWS = {
    "DETR": "convolution_stem",
    "+ denoising": "convolution_stem",
    "+ selected queries": "convolution_stem",
    "ViT, + selected queries": "vit",
}
COLUMNS = ("AP", "AP50", "APs", "AR")


def build_vit():
    vit = keras_vtr.models.build_vit(
        0,
        size="tiny",
        image_shape=IMAGE_SHAPE,
        patch_size=8,
        hidden_dim=96,
        num_layers=4,
        num_heads=4,
        mlp_dim=192,
        position="sine",
    )
    return keras_vtr.backbones.build_vit_backbone(
        vit, IMAGE_SHAPE, window_size=8, global_blocks=(1, 3)
    )


def make(row, num_steps):
    """The detector, and the compiled model that trains it."""
    backbone, encoder = ROWS[row], {}
    if backbone == "vit":
        backbone, encoder = build_vit(), {"num_encoder_layers": 0}
    options = options_of(row.removeprefix("ViT, "))
    if options.get("denoising"):
        options["denoising"] = 2
    detr, model, loss = build(
        options,
        NUM_TARGETS,
        image_shape=IMAGE_SHAPE,
        backbone=backbone,
        num_queries=100,
        **encoder,
    )
    compile_model(model, loss, num_steps, jit_compile=True)
    return detr, model


def seconds_of(rows, scenes, repeats=9):
    """The median time of a step of each row, measured in turn."""
    steps = {}
    for row in rows:
        _, model = make(row, 100)
        batch = next(iter(inputs_of(model, scenes)))
        model.train_on_batch(*batch)
        steps[row] = functools.partial(model.train_on_batch, *batch)
    seconds = {row: [] for row in rows}
    for _ in range(repeats):
        for row, step in steps.items():
            begin = time.perf_counter()
            step()
            seconds[row].append(time.perf_counter() - begin)
    return {row: statistics.median(times) for row, times in seconds.items()}


def train(row, seed, scenes, num_steps):
    """The trained detector."""
    keras.utils.set_random_seed(seed)
    detr, model = make(row, num_steps)
    model.fit(
        inputs_of(model, scenes),
        steps_per_epoch=num_steps,
        shuffle=False,
        verbose=0,
    )
    return detr


def scenes_of(seed):
    return keras_vtr.data.digit_scenes(
        "train", layout="crowded", batch_size=8, seed=seed
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", nargs="+", type=int)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    steps = arguments.steps
    if steps is None:
        seconds = seconds_of(arguments.rows, scenes_of(0))
        print("Seconds a step:", seconds)
        of_row = [60 * arguments.minutes / x for x in seconds.values()]
        steps = [max(1, round(x)) for x in of_row]
    held_out = keras_vtr.data.digit_scenes(
        "held_out", layout="crowded", batch_size=8, num_scenes=200
    )
    print(f"| | seed | steps | {' | '.join(COLUMNS)} |")
    print("|---" * (3 + len(COLUMNS)) + "|")
    for seed in arguments.seeds:
        for row, num_steps in zip(arguments.rows, steps, strict=True):
            detr = train(row, seed, scenes_of(seed), num_steps)
            metric = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
            result = metric.evaluate(detr, held_out)
            cells = " | ".join(f"{result[name]:.3f}" for name in COLUMNS)
            print(f"| {row} | {seed} | {num_steps} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
