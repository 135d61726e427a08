"""What a pretrained detector learns of 8, 32 and 128 pictures.

    python benchmarks/few_pictures.py

Pretrains the detector of examples/train_detr.py on scenes of the digits 0 to 5,
if the file of `--pretrained` isn't there, and fine-tunes it for the digits 6 to
9 in several ways, all with the same steps and learning rate: class heads are
new, all else is from the file. A seed chooses the pictures, their order and
their augmentation; the first weights of the heads are the same for all. Average
precision is of 300 scenes of other writers' digits. Each result is printed as a
line of JSON, and at the end a table: trained weights, and the mean over the
seeds, in brackets the smallest and the largest.
Takes about an hour on one core that has other work, too.
"""

import argparse
import itertools
import json
import math
import os
import statistics

import keras
import tensorflow as tf

import keras_vtr
from keras_vtr.stages import DETR

IMAGE_SHAPE = (64, 64, 1)
NUM_TARGETS = 5
OLD, NEW = range(6), range(6, 10)
BATCH_SIZE = 8
RATE = 1e-3
HEADS = (DETR.CLASS_HEAD, DETR.QUERY_SELECTION)


def freeze_encoder(detr):
    for name in (DETR.INPUT_PROJECTION, DETR.ENCODER):
        detr.get_layer(name).trainable = False


def freeze_all_but_class_heads(detr):
    for layer in detr.layers:
        layer.trainable = layer.name in HEADS


def add_lora(detr, rank=8):
    """Of encoder and decoder, dense layers get LoRA; norms and biases learn."""
    for name in (DETR.ENCODER, DETR.DECODER):
        # Private: Keras 3.15 has no public list of the layers within a layer.
        for layer in detr.get_layer(name)._flatten_layers():
            if isinstance(layer, keras.layers.Dense):
                layer.enable_lora(rank)


# The backbone's share of the learning rate, and what else is done first.
ROWS = {
    "random weights": (1.0, None),
    "all, not augmented": (1.0, None),
    "all": (1.0, None),
    "backbone at a tenth": (0.1, None),
    "backbone frozen": (0.0, None),
    "backbone and encoder frozen": (0.0, freeze_encoder),
    "backbone frozen, LoRA": (0.0, add_lora),
    "class heads alone": (0.0, freeze_all_but_class_heads),
}


def build(digits):
    return keras_vtr.models.build_detr(
        num_classes=len(digits),
        size="modern_small",
        image_shape=IMAGE_SHAPE,
        pixel_mean=0.0,
        pixel_std=255.0,
    )


def compiled(detr, num_steps, share, **options):
    """The model that trains the detector; a third of the steps at rate / 10."""
    model = keras_vtr.models.add_denoising(detr, NUM_TARGETS)
    keras_vtr.training.compile_detr(
        model,
        steps_per_epoch=max(1, num_steps // 3),
        epochs=3,
        learning_rate=RATE,
        backbone_learning_rate=RATE * share,
        clip_norm=1.0,
        **options,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def scenes_of(split, digits, batch_size, num_scenes=None, seed=0):
    """With labels from 0 on."""

    def renumber(images, y):
        labels = tf.where(y["labels"] < 0, -1, y["labels"] - digits[0])
        return images, {**y, "labels": labels}

    return keras_vtr.data.digit_scenes(
        split,
        digits=digits,
        batch_size=batch_size,
        num_scenes=num_scenes,
        seed=seed,
    ).map(renumber)


def augment(images, y, seed):
    """Zooms by up to a quarter and moves by up to an eighth of the scene."""
    shape, seeds = (len(images), 1, 2), tf.random.split(seed, 2)
    side = tf.random.stateless_uniform(shape, seeds[0], 0.8, 1.25)
    move = tf.random.stateless_uniform(shape, seeds[1], -0.125, 0.125)
    corner = (1 - side) / 2 + move  # (B, 1, 2), of what becomes the scene
    pixel = corner * IMAGE_SHAPE[0] + (side - 1) / 2  # where the first one is
    (a, b), (x, y0) = (tf.unstack(z[:, 0], axis=1) for z in (side, pixel))
    zero = tf.zeros_like(a)
    window = tf.stack([a, zero, x, zero, b, y0, zero, zero], axis=1)
    images = keras.ops.image.affine_transform(images, window)
    center, size = tf.split(y["boxes"], 2, axis=-1)
    edges = [(center + half * size - corner) / side for half in (-0.5, 0.5)]
    least, most = (tf.clip_by_value(edge, 0.0, 1.0) for edge in edges)
    seen = tf.reduce_prod((most - least) * side, -1)
    # Less than half of a digit may be another one.
    kept = (y["labels"] >= 0) & (seen > tf.reduce_prod(size, -1) / 2)
    boxes = tf.concat([(least + most) / 2, most - least], -1)
    return images, {
        "boxes": tf.where(kept[..., None], boxes, 0.0),
        "labels": tf.where(kept, y["labels"], -1),
    }


def batches_of(num_pictures, seed, augmented):
    """The same pictures again and again, as the training model reads them."""
    (pictures,) = scenes_of("train", NEW, num_pictures, num_pictures, seed)
    batches = tf.data.Dataset.from_tensor_slices(pictures).cache()
    batches = batches.shuffle(num_pictures, seed).repeat()
    batches = batches.batch(BATCH_SIZE, drop_remainder=True)
    if augmented:
        seeds = tf.data.Dataset.random(seed).batch(2, drop_remainder=True)
        batches = tf.data.Dataset.zip(batches, seeds)
        batches = batches.map(lambda x, seed: augment(*x, seed))
    return batches.map(lambda images, y: ({"images": images, **y}, y))


def pretrain(path, num_steps):
    keras.utils.set_random_seed(0)
    detr = build(OLD)
    model = compiled(detr, num_steps, 1.0, jit_compile=True)
    scenes = scenes_of("train", OLD, 16).map(
        lambda images, y: ({"images": images, **y}, y)
    )
    model.fit(scenes, steps_per_epoch=num_steps, shuffle=False)
    detr.save_weights(path)
    print(f"{path}: AP {average_precision(detr, OLD):.3f}")


def average_precision(detr, digits):
    scenes = scenes_of("held_out", digits, 100, 300, seed=1000)
    metric = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
    return metric.evaluate(detr, scenes)["AP"]


def results(row, arguments):
    """Of each seed and number of pictures; the model is traced once."""
    keras.utils.set_random_seed(0)
    share, prepare = ROWS[row]
    detr = build(NEW)
    if row != "random weights":
        detr.load_weights(arguments.pretrained, skip_mismatch=True)
    if prepare:
        prepare(detr)
    model = compiled(detr, arguments.steps, share)
    variables = model.variables + model.optimizer.variables
    first = [keras.ops.convert_to_numpy(x) for x in variables]
    sizes = (math.prod(x.shape) for x in detr.trainable_variables)
    same = {"row": row, "trained": sum(sizes), "steps": arguments.steps}
    for seed, pictures in itertools.product(
        arguments.seeds, arguments.pictures
    ):
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        model.fit(
            batches_of(pictures, seed, "not augmented" not in row),
            steps_per_epoch=arguments.steps,
            shuffle=False,
            verbose=0,
        )
        result = round(average_precision(detr, NEW), 4)
        yield {**same, "seed": seed, "pictures": pictures, "AP": result}


def print_table(found, pictures):
    """Mean, smallest and largest average precision."""
    print(f"| | trained | {' | '.join(map(str, pictures))} |")
    print("|---" * (2 + len(pictures)) + "|")
    for row, trained in dict.fromkeys((x["row"], x["trained"]) for x in found):
        cells = [row, f"{trained:,}"]
        for n in pictures:
            same = [x for x in found if (x["row"], x["pictures"]) == (row, n)]
            values = [x["AP"] for x in same]
            mean = statistics.mean(values)
            cells.append(f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})")
        print(f"| {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--pretrained", default="few_pictures.weights.h5")
    add("--pretraining-steps", type=int, default=2500)
    add("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    add("--pictures", nargs="+", type=int, default=[8, 32, 128])
    add("--seeds", nargs="+", type=int, default=[0, 1])
    add("--steps", type=int, default=200)
    arguments = parser.parse_args()
    if not os.path.exists(arguments.pretrained):
        pretrain(arguments.pretrained, arguments.pretraining_steps)
    found = []
    for row in arguments.rows:
        for result in results(row, arguments):
            found.append(result)
            print(json.dumps(result), flush=True)
    print_table(found, arguments.pictures)


if __name__ == "__main__":
    main()
