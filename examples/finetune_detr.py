"""Fine-tunes a pretrained DETR on a folder in COCO's format.

    pip install -e . && python examples/finetune_detr.py SOURCE FOLDER

SOURCE is DETR's authors' .pth, a folder of Hugging Face's or
"hf://facebook/detr-resnet-50"; with --vit a ViT, such as a folder of DINOv2's,
which becomes the backbone of a new detector of today's parts; with --rf-detr
"hf://Roboflow/rf-detr-nano", say; "scratch" starts a small detector at random.
FOLDER holds train.json and val.json, COCO's annotations, and the pictures in
train/ and val/. Without FOLDER the program writes one of handwritten
digits (pip install -e ".[examples]") and trains on it: with "scratch" that
takes about 5 minutes on two cores. Expect losses, average precision (AP 0.65,
AP50 0.90) and finetuned.keras. The recipe is the paper's (Carion et al. 2020).
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from write_scenes import write_scenes

import keras_vtr
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco

SMALL = {  # instead of the paper's, all in pixels
    "short_sides": (56, 64, 72),
    "longest_side": 96,
    "crop_short_sides": (64, 80),
    "crop_range": (48, 64),
    "flips": False,  # mirrored digits are others
}


def read(folder, num_scenes, **options):
    """Both data sets, of digits without a folder, and the scales for them."""
    scales = {}
    if folder is None:
        folder, scales = pathlib.Path(tempfile.mkdtemp()), SMALL
        write_scenes(folder, num_scenes)
    options = {"invalid": "drop", **options}
    train, held_out = (
        read_coco(folder / f"{split}.json", folder / split, **options)
        for split in ("train", "val")
    )
    print(f"Train: {train}\nHeld out: {held_out}")
    return train, held_out, scales


def build(arguments, dataset, num_queries):
    source, names = arguments.source, dataset.class_names
    if arguments.vit:
        return keras_vtr.models.build_detr(
            len(names),
            size="modern",
            backbone=keras_vtr.pretrained.from_pretrained(source),
            class_names=names,
            padding="exact",
            num_queries=num_queries,
        )
    if source != "scratch":
        padding = None if arguments.rf_detr else "exact"
        return keras_vtr.pretrained.from_pretrained(
            source, num_classes=len(names), class_names=names, padding=padding
        )
    return keras_vtr.models.build_detr(
        len(names),
        size="small",
        class_names=names,
        padding="published",
        queries="anchors",
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--vit", action="store_true")
    parser.add_argument("--rf-detr", action="store_true")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--scenes", type=int, default=4000)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    source = arguments.source
    train, held_out, scales = read(arguments.folder, arguments.scenes)
    detr = build(arguments, train, num_queries=10 if scales else 300)
    rates = {}
    if source == "scratch":
        rates = {"learning_rate": 1e-3, "backbone_learning_rate": 1e-3}
    if arguments.vit:  # the first layers of a pretrained ViT change least
        rates = {"backbone_learning_rate": 1e-4, "backbone_layer_decay": 0.8}
    size, epochs = arguments.batch_size, arguments.epochs
    steps = max(1, len(train) // size)
    model = detr
    if arguments.rf_detr:  # with the groups of queries of its own training
        model = keras_vtr.pretrained.add_pretrained_groups(detr, source)
        keras_vtr.training.compile_rf_detr(model)
        scales["image_sizes"] = [detr.input_shape[1:3]]
    else:
        keras_vtr.training.compile_detr(model, steps, epochs=epochs, **rates)
    batches = detection_dataset(train, size, training=True, **scales)
    model.fit(
        keras_vtr.data.check_dataset(batches, num_classes=detr.num_classes),
        steps_per_epoch=steps, epochs=epochs, shuffle=False,
    )  # fmt: skip
    metric = keras_vtr.metrics.CocoAveragePrecision()
    seen = detection_dataset(held_out, 8, training=False, **scales)
    result = metric.evaluate(detr, seen)
    print({name: round(result[name], 3) for name in ("AP", "AP50")})
    detr.save("finetuned.keras")


if __name__ == "__main__":
    main()
