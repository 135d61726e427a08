"""What int8 costs an RF-DETR in accuracy, on digit scenes.

    pip install -e ".[examples,onnx]"
    python benchmarks/int8_rf_detr.py

Trains a small one from random weights and saves it as int8_rf_detr.keras, with
which `benchmarks/quantization.py` makes its table again.
Takes 24 minutes on two cores that have much other work.
"""

import argparse

import quantization

import keras  # isort: skip  threads are set before

import keras_vtr  # isort: skip


def build_model():
    """Four of the ViT's blocks, of which two see all four windows."""
    vit = keras_vtr.models.build_vit(
        0,
        size="tiny",
        image_shape=quantization.IMAGE_SHAPE,
        patch_size=8,
        num_layers=4,
        hidden_dim=96,
        mlp_dim=384,
        pixel_mean=0.0,
        pixel_std=255.0,
    )
    return keras_vtr.models.build_rf_detr(
        10,
        vit=vit,
        image_shape=quantization.IMAGE_SHAPE,
        feature_blocks=(1, 3),
        global_blocks=(1, 3),
        num_queries=10,
        num_decoder_layers=2,
        hidden_dim=96,
        num_heads=4,
        mlp_dim=384,
    )


def train(num_steps):
    """The recipe with larger rates: there are no old weights to keep."""
    model = build_model()
    keras_vtr.training.compile_rf_detr(
        model,
        learning_rate=1.0,
        backbone_learning_rate=1.0,
        backbone_layer_decay=1.0,
        component_decay=1.0,
        clip_norm=1.0,
        jit_compile=True,
    )
    warmup_steps = num_steps // 20
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=num_steps - warmup_steps,
        warmup_target=1e-3,
        warmup_steps=warmup_steps,
    )
    scenes = keras_vtr.data.digit_scenes("train", batch_size=16)
    model.fit(
        scenes,
        steps_per_epoch=num_steps // 10,
        epochs=10,
        shuffle=False,  # they are random already
        verbose=2,
    )
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    keras.utils.set_random_seed(0)
    model = train(parser.parse_args().steps)
    model.save("int8_rf_detr.keras")
    quantization.compare(model)


if __name__ == "__main__":
    main()
