"""Fine-tunes a pretrained ViT on a folder of images, one sub-folder a class.

    pip install -e . && python examples/finetune_vit.py SOURCE FOLDER

SOURCE is a file, a folder or "hf://organization/name" (pip install -e
".[hub]"): weights of Google's, timm's or Hugging Face's. FOLDER holds
`class_name/picture.jpg`; a fifth of it is held out. Without FOLDER pieces of
scikit-learn's two photographs stand in (".[examples]"), only to try the
program: it takes about 20 seconds with a tiny model. Expect losses and
accuracies by epoch and finetuned.keras.

The recipe is Bao et al.'s (2021, BEiT): AdamW with warm-up and cosine, less in
earlier layers, stochastic depth, a moving average of the weights.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_vtr


def sample_folder():
    """32 pieces of each of scikit-learn's two photographs."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    folder = pathlib.Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    samples = load_sample_images()
    for name, image in zip(("china", "flower"), samples.images, strict=True):
        (folder / name).mkdir()
        for i in range(32):
            y, x = rng.integers(0, np.array(image.shape[:2]) - 200)
            piece = Image.fromarray(image[y : y + 200, x : x + 200])
            piece.save(folder / name / f"{i}.png")
    return folder


def load(folder, image_size, batch_size):
    return keras.utils.image_dataset_from_directory(
        folder,
        image_size=image_size,
        batch_size=batch_size,
        validation_split=0.2,
        subset="both",
        seed=0,
        crop_to_aspect_ratio=True,
        verbose=False,
    )


def build(arguments, num_classes):
    size = arguments.image_size
    vit = keras_vtr.pretrained.from_pretrained(
        arguments.source,
        num_classes=num_classes,
        image_shape=None if size is None else (size, size, 3),
        stochastic_depth=0.1,
    )
    inputs = keras.Input(vit.input_shape[1:])
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.layers.RandomCrop(*vit.input_shape[1:3])(x)
    return vit, keras.Model(inputs, vit(x))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--image-size", type=int, help="default: SOURCE's")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--precision", default="float32", help="mixed_bfloat16")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(arguments.precision)
    folder = pathlib.Path(arguments.folder or sample_folder())
    class_names = sorted(path.name for path in folder.iterdir())
    vit, trainer = build(arguments, len(class_names))
    train, held_out = load(folder, vit.input_shape[1:3], arguments.batch_size)
    num_steps = arguments.epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        num_steps,
        warmup_target=arguments.learning_rate,
        warmup_steps=num_steps // 10,
    )
    adam = keras.optimizers.AdamW(
        rate, weight_decay=0.05, global_clipnorm=1.0, use_ema=True
    )
    num_layers = vit.get_layer("encoder").num_layers
    trainer.compile(
        keras_vtr.optimizers.layerwise_decay(adam, num_layers),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Judged, and saved, are the averaged weights.
    average = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    trainer.fit(
        train,
        validation_data=held_out,
        epochs=arguments.epochs,
        shuffle=False,
        verbose=2,
        callbacks=[average],
    )
    vit.save("finetuned.keras")
    print(f"finetuned.keras: {', '.join(class_names)}")


if __name__ == "__main__":
    main()
