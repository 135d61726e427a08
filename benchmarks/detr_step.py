"""Milliseconds of a small DETR's training step, part by part.

    pip install -e . && python benchmarks/detr_step.py

64 x 64 images, 64 tokens of width 96, 2 + 3 layers, 10 queries, dropout 0.1,
batch 32, AdamW. One thread; median of
interleaved rounds; takes about two minutes.
"""

import argparse
import os
import statistics
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import keras_vtr


def make_batch():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, size=(32, 64, 64, 1)).astype("float32")
    y_true = {
        "boxes": rng.uniform(0.2, 0.7, size=(32, 5, 4)).astype("float32"),
        "labels": rng.integers(-1, 10, size=(32, 5)).astype("int32"),
    }
    return tf.nest.map_structure(tf.constant, (images, y_true))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    images, y_true = make_batch()
    model = keras_vtr.models.build_detr(
        10,
        image_shape=(64, 64, 1),
        backbone=keras_vtr.backbones.build_convolution_stem((64, 64, 1)),
        num_queries=10,
        hidden_dim=96,
        num_heads=4,
        mlp_dim=192,
        num_encoder_layers=2,
        num_decoder_layers=3,
        pixel_mean=0.0,
        pixel_std=255.0,
    )
    loss = keras_vtr.losses.HungarianLoss()
    model.compile(keras.optimizers.AdamW(1e-4), loss)
    outputs = model(images)

    @tf.function(autograph=False)
    def forward():
        return model(images, training=True)["boxes"]

    @tf.function(autograph=False)
    def match_and_loss():
        return loss.total(loss.term_values(y_true, outputs))

    @tf.function(autograph=False)
    def forward_and_backward():
        with tf.GradientTape() as tape:
            y_pred = model(images, training=True)
            value = loss.total(loss.term_values(y_true, y_pred))
        return tape.gradient(value, model.trainable_variables)

    parts = {
        "forward": forward,
        "matching and loss": match_and_loss,
        "forward and backward": forward_and_backward,
        "train_on_batch": lambda: model.train_on_batch(images, y_true),
    }
    times = {name: [] for name in parts}
    print("| part | first call, s | milliseconds |\n|---|---|---|")
    first = {}
    for name, part in parts.items():
        begin = time.perf_counter()
        part()
        first[name] = time.perf_counter() - begin
    for _ in range(arguments.rounds):
        for name, part in parts.items():
            begin = time.perf_counter()
            part()
            times[name].append(1e3 * (time.perf_counter() - begin))
    for name in parts:
        median = statistics.median(times[name])
        print(f"| {name} | {first[name]:.1f} | {median:.1f} |")


if __name__ == "__main__":
    main()
