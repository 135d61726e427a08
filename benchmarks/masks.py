"""Masks of digits: what each head learns of them in seven minutes of steps.

    python benchmarks/masks.py

Scenes of 64 x 64 pixels, batches of 16. The time of a training step of each row
is measured first, all rows in turn, and each row is trained for as many steps
as fill the time, to which compiling and evaluating come. Printed: average
precision of masks and boxes on 500 held-out scenes.
"DETR's head" is trained as in the paper: boxes first, then the head alone.
"Mask embeddings" is examples/train_masks.py. "EoMT" is a ViT from scratch.
Takes 100 minutes on two cores; `--rows`, `--seeds` and `--minutes` do less, and
`--minutes 0` measures the steps alone.
"""

import argparse
import functools
import statistics
import time

import keras
import tensorflow as tf
from convergence import IMAGE_SHAPE
from convergence import NUM_TARGETS
from convergence import compile_model

import keras_vtr
from keras_vtr import layers
from keras_vtr import losses
from keras_vtr import models

COLUMNS = ("mask_AP", "mask_AP50", "AP", "AP50")


def build_detector(head=False):
    return models.build_detr(
        10,
        size="modern_small",
        image_shape=IMAGE_SHAPE,
        pixel_mean=0.0,
        pixel_std=255.0,
        masks=head,
    )


def build_eomt():
    vit = models.build_vit(
        0,
        size="tiny",
        image_shape=IMAGE_SHAPE,
        patch_size=8,
        hidden_dim=96,
        num_layers=6,
        num_heads=4,
        mlp_dim=192,
        pixel_mean=0.0,
        pixel_std=255.0,
    )
    return models.build_eomt(
        10, vit, num_queries=20, num_query_blocks=3, mask_stride=2
    )


def box_terms():
    return losses.sigmoid_terms(box_term=losses.RelativeBoxTerm())


def compiled(model, terms, num_steps):
    compile_model(model, losses.HungarianLoss(terms), num_steps)
    return model


def train_boxes(detr, num_steps):
    """All but a mask head, which the training model does not have."""
    outputs = {k: x for k, x in detr.output.items() if "masks" not in k}
    boxes = models.DetectionModel(detr.input, outputs)
    model = models.add_denoising(boxes, NUM_TARGETS)
    return compiled(model, box_terms(), num_steps)


def train_head(detr, num_steps):
    for layer in detr.layers:
        layer.trainable = layer.name == "mask_head"
    return compiled(detr, [*box_terms(), *losses.mask_terms()], num_steps)


def train_all(detr, num_steps):
    model = models.add_denoising(detr, NUM_TARGETS)
    terms = [*box_terms(), *losses.point_mask_terms()]
    return compiled(model, terms, num_steps)


def train_eomt(eomt, num_steps):
    return compiled(eomt, losses.eomt_terms(), num_steps)


# Of each row: what makes the model, and the stages of its training, each with
# its share of the time.
ROWS = {
    "no masks": (build_detector, {train_boxes: 1.0}),
    "DETR's head": (
        functools.partial(build_detector, layers.MaskHead(num_heads=8)),
        {train_boxes: 0.6, train_head: 0.4},
    ),
    "mask embeddings": (
        functools.partial(build_detector, layers.MaskEmbeddingHead()),
        {train_all: 1.0},
    ),
    "EoMT": (build_eomt, {train_eomt: 1.0}),
}


def inputs_of(model, scenes):
    """What the model reads: with denoising, boxes and labels, too."""
    if not isinstance(model.input, dict):
        return scenes
    keys = [key for key in model.input if key != "images"]
    return scenes.map(
        lambda images, y: ({"images": images, **{k: y[k] for k in keys}}, y)
    )


def seconds_of(rows, scenes, repeats=15):
    """The median time of a step of each stage, measured in turn."""
    steps = {}
    for row in rows:
        build, stages = ROWS[row]
        for stage in stages:
            model = stage(build(), 100)
            batch = next(iter(inputs_of(model, scenes)))
            model.train_on_batch(*batch)
            steps[row, stage] = functools.partial(model.train_on_batch, *batch)
    seconds = {key: [] for key in steps}
    for _ in range(repeats):
        for key, step in steps.items():
            begin = time.perf_counter()
            step()
            seconds[key].append(time.perf_counter() - begin)
    return {key: statistics.median(times) for key, times in seconds.items()}


def train(row, seed, num_steps):
    """The model, trained for these numbers of steps, one for each stage."""
    keras.utils.set_random_seed(seed)
    build, stages = ROWS[row]
    model = build()
    scenes = keras_vtr.data.digit_scenes(
        "train", batch_size=16, seed=seed, masks=True
    )
    for stage, number in zip(stages, num_steps, strict=True):
        training_model = stage(model, number)
        training_model.fit(
            inputs_of(training_model, scenes),
            steps_per_epoch=number,
            shuffle=False,
            verbose=0,
        )
    return model


def evaluate(model):
    held_out = keras_vtr.data.digit_scenes(
        "held_out", batch_size=100, num_scenes=500, masks=True
    )
    metric = keras_vtr.metrics.CocoAveragePrecision(
        IMAGE_SHAPE, masks="masks" in model.output
    )
    return metric.evaluate(model, held_out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--steps", nargs="+", type=int, help="of each stage")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if not arguments.steps:
        scenes = keras_vtr.data.digit_scenes("train", batch_size=16, masks=True)
        seconds = seconds_of(arguments.rows, scenes)
        for (row, stage), time_of_step in seconds.items():
            print(f"{row}, {stage.__name__}: {time_of_step:.3f} s a step")
    print(f"| | seed | steps | {' | '.join(COLUMNS)} |")
    print("|---" * (3 + len(COLUMNS)) + "|", flush=True)
    for seed in arguments.seeds if arguments.minutes else ():
        for row in arguments.rows:
            num_steps = arguments.steps or [
                max(1, round(60 * arguments.minutes * share / seconds[row, x]))
                for x, share in ROWS[row][1].items()
            ]
            result = evaluate(train(row, seed, num_steps))
            cells = " | ".join(
                f"{result[x]:.3f}" if x in result else "" for x in COLUMNS
            )
            steps = " + ".join(map(str, num_steps))
            print(f"| {row} | {seed} | {steps} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
