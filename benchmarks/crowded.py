"""Crowded scenes: what a detector learns of them in one hour on two cores.

    python benchmarks/crowded.py

Up to 40 digits of 8 to 40 pixels on photographs of 256 x 256 pixels, 100
queries, batches of 8. Rows are those of convergence.py, all parts as in
examples/train_detr.py; "ViT" has, instead of the convolution stem and the
encoder layer, a ViT from scratch (four blocks of the same width, patches of
8, every other block in windows). Each row is trained for the same
time: how many steps these are, the time of some steps says before. Printed:
average precision and recall on 200 held-out scenes.
Takes 4 hours; `--rows`, `--seeds` and `--minutes` do less.
"""

import argparse
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


def make(row):
    """The detector, the model that trains it, and the loss."""
    backbone, encoder = ROWS[row], {}
    if backbone == "vit":
        backbone, encoder = build_vit(), {"num_encoder_layers": 0}
    return build(
        options_of(row.removeprefix("ViT, ")),
        NUM_TARGETS,
        image_shape=IMAGE_SHAPE,
        backbone=backbone,
        num_queries=100,
        **encoder,
    )


def fit(row, seed, scenes, num_steps):
    """The trained detector, and how long training took without its start."""
    keras.utils.set_random_seed(seed)
    detr, model, loss = make(row)
    compile_model(model, loss, num_steps)
    model.fit(inputs_of(model, scenes), steps_per_epoch=1, verbose=0)
    begin = time.perf_counter()
    model.fit(
        inputs_of(model, scenes),
        steps_per_epoch=num_steps,
        shuffle=False,
        verbose=0,
    )
    return detr, time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    print(f"| | seed | steps | minutes | {' | '.join(COLUMNS)} |")
    print("|---" * (4 + len(COLUMNS)) + "|")
    held_out = keras_vtr.data.digit_scenes(
        "held_out", layout="crowded", batch_size=8, num_scenes=200
    )
    for seed in arguments.seeds:
        scenes = keras_vtr.data.digit_scenes(
            "train", layout="crowded", batch_size=8, seed=seed
        )
        for row in arguments.rows:
            _, seconds = fit(row, seed, scenes, 15)
            num_steps = max(15, int(60 * arguments.minutes / seconds * 15))
            detr, seconds = fit(row, seed, scenes, num_steps)
            metric = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
            result = metric.evaluate(detr, held_out)
            cells = " | ".join(f"{result[name]:.3f}" for name in COLUMNS)
            print(
                f"| {row} | {seed} | {num_steps} | {seconds / 60:.0f} | "
                f"{cells} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
