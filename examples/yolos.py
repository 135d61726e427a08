"""A detector from a ViT: ten learned tokens more, and DETR's loss.

    python examples/yolos.py

Takes 17 minutes of one processor's time. Expect, on 500 held-out scenes: AP
0.58, AP50 0.72, AP75 0.70; until about step 2,000 boxes alone are learned.
"""

import argparse

import keras

import keras_vtr

IMAGE_SHAPE = (64, 64, 1)


def build_model():
    """Any ViT would do; this small one has a stem of convolutions."""
    vit = keras_vtr.models.build_vit(
        0,
        image_shape=IMAGE_SHAPE,
        backbone=keras_vtr.backbones.build_convolution_stem(IMAGE_SHAPE),
        patch_size=1,  # of the stem's map, 8 x 8
        hidden_dim=96,
        num_layers=4,
        num_heads=4,
        mlp_dim=192,
        pixel_mean=0.0,
        pixel_std=255.0,
    )
    return keras_vtr.models.build_yolos(10, vit, num_queries=10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000)
    num_steps = parser.parse_args().steps
    keras.utils.set_random_seed(0)
    yolos = build_model()
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps, warmup_target=1.5e-3, warmup_steps=100
    )
    yolos.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=1e-4, beta_2=0.98, global_clipnorm=1.0
        ),
        keras_vtr.losses.HungarianLoss(),
        jit_compile=True,  # XLA
    )
    scenes = keras_vtr.data.digit_scenes("train", batch_size=16)
    yolos.fit(scenes, steps_per_epoch=num_steps // 10, epochs=10, shuffle=False)
    held_out = keras_vtr.data.digit_scenes("held_out", num_scenes=500)
    metric = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
    result = metric.evaluate(yolos, held_out)
    print({name: f"{result[name]:.3f}" for name in ("AP", "AP50", "AP75")})


if __name__ == "__main__":
    main()
