"""Trains two ViTs on handwritten digits: one pure, one with a ResNet stem.

    pip install -e ".[examples]" && python examples/train_vit.py

Takes 2 to 3 minutes on two cores. Expect 0.980 of the held-out digits right
for the pure one and 0.973 for the hybrid (`--seed 1`: 0.953, 0.989). The hybrid
reads a small ResNet's feature map, the pure one cuts the image into patches
(Dosovitskiy et al. 2020, section 3.1). What they look at is written to
vit_attention.png.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import keras_vtr

NUM_TRAIN = 1347  # of 1797; the digits stand in writers' order
VIT = {
    "num_classes": 10,
    "image_shape": (32, 32, 1),
    "hidden_dim": 96,
    "num_layers": 2,
    "num_heads": 4,
    "mlp_dim": 192,
    "dropout": 0.1,
    "pixel_mean": 0.0,
    "pixel_std": 255.0,
}


def load():
    """8 x 8 digits, enlarged to 32 x 32 pixels in [0, 255]."""
    digits = load_digits()
    images = digits.images[..., None].astype("float32") * (255 / 16)
    images = keras.ops.image.resize(images, (32, 32), interpolation="bicubic")
    images = np.clip(keras.ops.convert_to_numpy(images), 0, 255)
    return (
        (images[:NUM_TRAIN], digits.target[:NUM_TRAIN]),
        (images[NUM_TRAIN:], digits.target[NUM_TRAIN:]),
    )


def build_pure():
    return keras_vtr.models.build_vit(**VIT, patch_size=8, name="pure")


def build_hybrid():
    resnet = keras_vtr.backbones.build_bit_resnet(
        VIT["image_shape"], num_units=(), width=32
    )
    return keras_vtr.models.build_vit(
        **VIT, backbone=resnet, patch_size=2, name="hybrid"
    )


def train(vit, images, labels, num_epochs):
    move = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
            keras.layers.RandomRotation(0.03, fill_mode="constant"),
        ]
    )
    batches = tf.data.Dataset.from_tensor_slices((images, labels))
    batches = batches.shuffle(len(images)).batch(64, drop_remainder=True)
    num_steps = num_epochs * len(batches)
    batches = batches.map(lambda x, y: (move(x, training=True), y)).prefetch(2)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, num_steps, warmup_target=2e-3, warmup_steps=num_steps // 10
    )
    vit.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    vit.fit(batches, epochs=num_epochs, shuffle=False, verbose=0)


def draw(vit, images):
    """Digits, and below each what reaches the class token of it."""
    rollout = keras_vtr.visualization.attention_rollout(vit, images)
    looks = [
        keras_vtr.visualization.draw_attention(image, attention)
        for image, attention in zip(images, rollout, strict=True)
    ]
    plain = [keras.utils.array_to_img(x, scale=False) for x in images]
    pictures = [x.convert("RGB").resize((96, 96)) for x in plain + looks]
    return keras_vtr.visualization.draw_grid(pictures, len(images))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train_data, (images, labels) = load()
    pictures = []
    print("| model | parameters | seconds | accuracy |\n|---|---|---|---|")
    for build in (build_pure, build_hybrid):
        keras.utils.set_random_seed(arguments.seed)
        vit = build()
        begin = time.perf_counter()
        train(vit, *train_data, arguments.epochs)
        seconds = time.perf_counter() - begin
        accuracy = np.mean(vit.predict(images, verbose=0).argmax(-1) == labels)
        count = f"{vit.count_params():,}"
        print(f"| {vit.name} | {count} | {seconds:.0f} | {accuracy:.3f} |")
        pictures.append(draw(vit, images[:10]))
    keras_vtr.visualization.draw_grid(pictures, 1).save("vit_attention.png")


if __name__ == "__main__":
    main()
