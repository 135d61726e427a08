"""A small ViT, and its training on handwritten digits.

    python examples/claims/digit_vit.py

trains it for 20 steps, which takes 20 seconds. Expect an accuracy of about
0.1, chance: the experiments that import it train far longer.
"""

import experiment  # noqa: F401, quiets TensorFlow before it is imported
import keras
import numpy as np
import tensorflow as tf

import keras_vtr

BATCH_SIZE = 64
VIT = {
    "num_classes": 10,
    "image_shape": (32, 32, 1),
    "patch_size": 8,
    "hidden_dim": 64,
    "num_layers": 3,
    "num_heads": 4,
    "mlp_dim": 128,
    "pixel_mean": 0.0,
    "pixel_std": 255.0,
}


def load(split):
    """Real digits of 8 x 8 pixels, enlarged to 32 x 32, in [0, 255]."""
    images, labels, _ = keras_vtr.data.load_digits(split)
    images = keras.ops.image.resize(
        images[..., None], (32, 32), interpolation="bicubic"
    )
    return np.clip(keras.ops.convert_to_numpy(images), 0, 255), labels


def train(vit, steps, learning_rate=2e-3):
    """AdamW, a warm-up, a cosine; each digit moved a little each time."""
    move = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
            keras.layers.RandomRotation(0.03, fill_mode="constant"),
        ]
    )
    batches = tf.data.Dataset.from_tensor_slices(load("train"))
    batches = batches.shuffle(2000).repeat().batch(BATCH_SIZE)
    batches = batches.map(lambda x, y: (move(x, training=True), y)).prefetch(2)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps,
        warmup_target=learning_rate,
        warmup_steps=max(1, steps // 10),
    )
    vit.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    vit.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)


def accuracy(vit):
    """Of 450 digits, most of writers that training didn't see."""
    images, labels = load("held_out")
    return float(np.mean(vit.predict(images, verbose=0).argmax(-1) == labels))


if __name__ == "__main__":
    model = keras_vtr.models.build_vit(**VIT)
    train(model, steps=20)
    print(f"accuracy {accuracy(model):.3f}")
