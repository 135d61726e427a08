"""Trains a detector on scenes of handwritten digits, and serves it.

    python examples/train_detr.py

Takes about 5 minutes on two cores, after installation. Expect, on 500 held-out
scenes: AP 0.77, AP50 0.96, AP75 0.92. (`--seed 1`, 2 and 3 gave AP 0.76, 0.76,
0.77, AP50 0.95, 0.95, 0.96 and AP75 0.92, 0.92, 0.93.)
"""

import argparse
import pathlib

import keras
import numpy as np
import tensorflow as tf

import keras_vtr

IMAGE_SHAPE = (64, 64, 1)
ROOT = pathlib.Path(__file__).parent.parent


def build_model():
    """A small DETR; every stage is a layer that you can replace."""
    return keras_vtr.models.build_detr(
        num_classes=10,
        size="small",
        image_shape=IMAGE_SHAPE,
        pixel_mean=0.0,
        pixel_std=255.0,
        name="digit_detr",
    )


def train(model, scenes, num_steps):
    warmup_steps = min(100, num_steps // 2)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=num_steps - warmup_steps,
        warmup_target=1.5e-3,
        warmup_steps=warmup_steps,
    )
    # At the paper's weight of 1 the classes are learned long after the boxes.
    terms = keras_vtr.losses.detr_terms(label_weight=2.0)
    model.compile(
        keras.optimizers.AdamW(
            learning_rate, weight_decay=1e-4, beta_2=0.98, global_clipnorm=1.0
        ),
        keras_vtr.losses.HungarianLoss(terms),
    )
    model.fit(
        scenes,
        steps_per_epoch=max(1, num_steps // 10),
        epochs=10,
        shuffle=False,  # they are random already
    )


def draw(model, images, y_true, folder):
    """Each scene twice: what is there, and below it what was found."""
    detections = keras_vtr.detections.decode_detections(
        model(images), IMAGE_SHAPE
    )
    path = folder / "digit_scenes.png"
    keras_vtr.visualization.draw_comparison(
        images, y_true, detections, num_columns=6, scale=4
    ).save(path)
    print(f"True boxes and, below them, detections: {path}")


def export(model, images, folder):
    """A SavedModel for TF Serving, loaded again and compared."""
    path = keras_vtr.serving.export_detector(
        model,
        folder / "savedmodels" / model.name,
        class_names=tuple("0123456789"),
    )
    loaded = tf.saved_model.load(path)
    images = images.astype("uint8")
    answer = loaded.signatures["images"](images=tf.constant(images))
    expected = keras_vtr.detections.decode_detections(
        model(images), IMAGE_SHAPE
    )
    for key, value in expected.items():
        np.testing.assert_allclose(answer[key], value, rtol=1e-3, atol=1e-3)
    print(f"Exported, loaded again, and both agree: {path}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    scenes = keras_vtr.data.digit_scenes(
        "train", batch_size=16, seed=arguments.seed
    )
    held_out = keras_vtr.data.digit_scenes(
        "held_out", batch_size=100, num_scenes=500
    )
    model = build_model()
    train(model, scenes, arguments.steps)
    model.save(arguments.output / f"{model.name}.keras")
    average_precision = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
    result = average_precision.evaluate(model, held_out)
    print("\nOn 500 held-out scenes:")
    for name in ("AP", "AP50", "AP75"):
        print(f"  {name:5} {result[name]:.3f}")
    images, y_true = next(held_out.rebatch(12).as_numpy_iterator())
    draw(model, images, y_true, arguments.output)
    export(model, images, arguments.output)


if __name__ == "__main__":
    main()
