"""What makes DETR learn fast: a ladder of parts, one more on each row.

    python benchmarks/convergence.py

trains small detectors on digit scenes with three seeds, same budget and
schedule for all rows, and prints after how many steps (looked at every 250) the
average precision on 300 held-out scenes first reaches 0.70, what it is at the
end, and how many true objects of 100 are found, and found twice, at a score of
0.5. What a step costs: convergence_step.py.
All of it are 30 runs of 5,000 steps, some 200 minutes on two cores by the time
of a step; `--rows`, `--seeds` and `--steps` do less. `--model digit_detr.keras`
says what the detector of examples/train_detr.py finds, and finds twice.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

import keras_vtr
from keras_vtr import layers
from keras_vtr import losses
from keras_vtr import models
from keras_vtr.box_ops import iou
from keras_vtr.detections import decode_detections

IMAGE_SHAPE = (64, 64, 1)
NUM_TARGETS = 5
NUM_HEADS = 4
EVERY = 250
GOAL = 0.70


def box_bias():
    """A network on the sides' distances, added to the Gaussian of each head."""
    gaussian = layers.AnchorAttentionBias(NUM_HEADS)
    return layers.BoxPositionBias(NUM_HEADS, mlp_dim=192, prior=gaussian)


# Of each row: what it has besides the row before it. Functions make layers;
# denoising is how many noised copies each true object has.
LADDER = {
    "DETR": {},
    "anchors": {"queries": "anchors"},
    "+ denoising": {"denoising": 5},
    "+ IoU-aware sigmoid": {"classifier": "sigmoid"},
    "+ box position bias": {"attention_bias": box_bias},
    "+ relative boxes": {"box_refinement": layers.RelativeRefinement},
    "+ selected queries": {"queries": "selected"},
    "+ look forward twice": {"look_forward_twice": True},
    "groups, no denoising": {"denoising": 0, "num_groups": 3},
    "groups and denoising": {"denoising": 5},
}


def options_of(row):
    """Everything that a row has, from the rows before it, too."""
    options = {}
    for name, added in LADDER.items():
        options |= added
        if name == row:
            return options
    raise ValueError(f"`row` must be one of {list(LADDER)}. Received: {row!r}")


def build(options, num_targets=NUM_TARGETS, **scenes):
    """The detector, the model that trains it, and the loss."""
    options = {key: x() if callable(x) else x for key, x in options.items()}
    denoising = options.pop("denoising", 0)
    num_groups = options.pop("num_groups", 0)
    scenes = {"image_shape": IMAGE_SHAPE, **scenes}
    detr = model = models.build_detr(
        num_classes=10,
        size="small",
        pixel_mean=0.0,
        pixel_std=255.0,
        **scenes,
        **options,
    )
    if num_groups:
        model = models.add_groups(model, num_groups)
    if denoising:
        model = models.add_denoising(model, num_targets, num_groups=denoising)
    if options.get("classifier") == "sigmoid":
        terms = losses.sigmoid_terms()
    else:
        terms = losses.detr_terms(label_weight=2.0)
    if "box_refinement" in options:
        terms[1] = losses.RelativeBoxTerm()
    return detr, model, losses.HungarianLoss(terms)


def compile_model(model, loss, num_steps, **options):
    """With the optimizer of examples/train_detr.py."""
    warmup_steps = min(100, num_steps // 2)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        num_steps - warmup_steps,
        warmup_target=1.5e-3,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=1e-4, beta_2=0.98, global_clipnorm=1.0
    )
    model.compile(optimizer, loss, **options)


def inputs_of(model, scenes):
    """What the model reads: with denoising, the targets are inputs, too."""
    if isinstance(model.input, dict):
        scenes = scenes.map(lambda images, y: ({"images": images, **y}, y))
    return scenes


class Watch(keras.callbacks.Callback):
    """Evaluates the detector itself, not the model that trains it."""

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


def found(detr, scenes, score=0.5):
    """Of 100 true objects, how many have a box with this score, and another."""
    num_objects = num_found = num_twice = 0
    for images, y_true in scenes.as_numpy_iterator():
        boxes = decode_detections(detr.predict_on_batch(images), (1, 1))
        boxes = {k: keras.ops.convert_to_numpy(x) for k, x in boxes.items()}
        center, side = np.split(y_true["boxes"], 2, axis=-1)
        true = np.concatenate([center - side / 2, center + side / 2], axis=-1)
        overlap = iou(boxes["boxes"][:, :, None], true[:, None])  # (B, Q, M)
        overlap = keras.ops.convert_to_numpy(overlap)
        is_true = y_true["labels"] >= 0
        is_found = (boxes["scores"] >= score)[..., None] & is_true[:, None]
        hits = (is_found & (overlap >= 0.5)).sum(axis=1)  # (B, M)
        num_found += (hits > 0).sum()
        num_twice += np.maximum(hits - 1, 0).sum()
        num_objects += is_true.sum()
    return 100 * num_found / num_objects, 100 * num_twice / num_objects


def train(row, seed, num_steps):
    """The average precision every 250 steps, and how often objects are twice.

    Returns:
        The curve, and objects of 100 found and found twice.
    """
    keras.utils.set_random_seed(seed)
    scenes = keras_vtr.data.digit_scenes("train", batch_size=16, seed=seed)
    detr, model, loss = build(options_of(row))
    compile_model(model, loss, num_steps)
    watch = Watch(detr)
    model.fit(
        inputs_of(model, scenes),
        steps_per_epoch=min(EVERY, num_steps),
        epochs=max(1, num_steps // EVERY),
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
    return watch.curve, *found(detr, watch.held_out)


def steps_to_goal(curve):
    reached = [i for i, x in enumerate(curve) if x >= GOAL]
    return EVERY * (reached[0] + 1) if reached else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", default=list(LADDER))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help="a detector; only its objects found")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if arguments.model:
        once, twice = found(
            keras.models.load_model(arguments.model),
            keras_vtr.data.digit_scenes(
                "held_out", batch_size=100, num_scenes=500
            ),
        )
        print(f"Of 100 objects found: {once:.1f}, found twice: {twice:.1f}")
        return
    print(f"| | seed | steps to AP {GOAL:.2f} | AP | found | twice |")
    print("|---|---|---|---|---|---|")
    for seed in arguments.seeds:
        for row in arguments.rows:
            curve, once, twice = train(row, seed, arguments.steps)
            steps = steps_to_goal(curve) or "never"
            print(
                f"| {row} | {seed} | {steps} | {curve[-1]:.3f} | {once:.1f} | "
                f"{twice:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
