"""Trains a detector; run again, it resumes from the last checkpoint.

Writes into --output: config.yaml, checkpoints/, history.csv, pictures/ and, at
the end, the best epoch's model.keras. On a terminal it draws a progress bar;
elsewhere it prints a line an epoch.
"""

import argparse
import functools
import pathlib

import keras

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import DetectionPictures
from keras_vtr.callbacks import SkipNonFinite
from keras_vtr.callbacks.checkpoint_files import best_checkpoint
from keras_vtr.callbacks.checkpoint_files import load_state
from keras_vtr.callbacks.checkpoint_files import whole_checkpoints
from keras_vtr.command_line import fitting
from keras_vtr.command_line.fitting import Fitting
from keras_vtr.command_line.run_folder import MODEL
from keras_vtr.command_line.run_folder import check_config
from keras_vtr.command_line.run_folder import enlargement
from keras_vtr.command_line.run_folder import scales
from keras_vtr.command_line.run_folder import write_config
from keras_vtr.command_line.training_model import build
from keras_vtr.command_line.training_model import compile_with_recipe
from keras_vtr.data import RepeatFactorSampling
from keras_vtr.data import batch_paths
from keras_vtr.data import check_dataset
from keras_vtr.data import detection_dataset
from keras_vtr.data.augmentation import CROP_RANGE
from keras_vtr.data.augmentation import CROP_SHORT_SIDES
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.formats.layouts import read_split
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.data.inspection import too_many_boxes
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.optimizers import averaged_weights
from keras_vtr.training import enable_determinism

MODEL_HELP = (
    "'small', with random weights, or a pretrained DETR or RF-DETR: a .pth, a "
    "folder, hf://facebook/detr-resnet-50, hf://Roboflow/rf-detr-nano"
)


def add_arguments(parser):
    add = parser.add_argument
    add("folder", help="of the data, as `keras-vtr --help` describes it")
    add("--output", required=True, help="folder of the run")
    add("--model", default="small", help=MODEL_HELP)
    add("--epochs", type=int, default=50, help="passes over the data")
    add("--batch-size", type=int, default=4, help="images a step")
    rate = "of all but backbone; default: the recipe's, 1e-4"
    add("--learning-rate", type=float, help=rate)
    rate = "0: frozen; default: the recipe's, 1e-5, of RF-DETR 1.5e-4"
    add("--backbone-learning-rate", type=float, help=rate)
    averaged = "average weights, evaluate those; default: the recipe's"
    add("--use-ema", action=argparse.BooleanOptionalAction, help=averaged)
    gathered = "steps whose gradients are averaged"
    add("--gradient-accumulation-steps", type=int, help=gathered)
    add(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="of the computation; weights are float32",
    )
    add("--seed", type=int, default=0, help="of weights, order, augmentation")
    most = f"objects of an image; default: {NUM_QUERIES}, or the pretrained's"
    add("--num-queries", type=int, help=most)
    sides = {"type": int, "help": "pixels, to choose from"}
    add("--short-sides", nargs="+", default=[*SHORT_SIDES], **sides)
    add("--crop-short-sides", nargs="+", default=[*CROP_SHORT_SIDES], **sides)
    add("--crop-range", nargs=2, default=[*CROP_RANGE], **sides)
    add("--longest-side", type=int, default=LONGEST_SIDE, help="pixels")
    stretched = (
        "of squares that RF-DETR's images are stretched to, the first one in "
        "evaluation; default: the model's own"
    )
    add("--image-sides", nargs="+", type=int, help=stretched)
    add(
        "--no-groups",
        action="store_true",
        help="train RF-DETR without the further groups of queries, in a "
        "fraction of the time",
    )
    add("--no-flips", action="store_true", help="flip no image")
    add("--save-every", type=int, default=1000, help="steps, and each epoch")
    same = "bit-identical runs, slower"
    add("--deterministic", action="store_true", help=same)
    drawn = "learn the objects' outlines, too"
    add("--masks", action="store_true", help=drawn)
    left_out = "leave out broken images and annotations"
    add("--skip-broken", action="store_true", help=left_out)
    fitting.add_arguments(parser)


def run(folder, output, *, printer, **options):
    folder, output = pathlib.Path(folder), pathlib.Path(output)
    invalid = "drop" if options["skip_broken"] else "raise"
    train, val = _read(folder, invalid, options["masks"])
    printer.report("data", f"Train: {train}\nValidation: {val}")
    config = {"folder": str(folder.resolve()), **options}
    config = {k: v for k, v in config.items() if k not in fitting.OF_PROCESS}
    check_config(output, config)
    checkpoint = Checkpoint(
        output / "checkpoints",
        every_steps=options["save_every"],
        monitor="val_mask_AP" if options["masks"] else "val_AP",
    )
    done = checkpoint.num_steps
    printer.report("resumed", f"{done} steps are done.", num_steps=done)
    keras.utils.set_random_seed(options["seed"])
    if options["deterministic"]:
        enable_determinism()
    keras.config.set_dtype_policy(options["precision"])
    detr = build(train.class_names, **options)
    sampling = _sampling(train, options["repeat_rare"])
    batches, seen = _batches(train, val, done, detr, sampling, options)
    steps = _steps(train, sampling, options["batch_size"])
    _check_queries(train, detr)
    model = compile_with_recipe(detr, steps, options)
    evaluated = -(-len(val) // options["batch_size"])
    fit = Fitting(checkpoint, output, printer, options, evaluated).fit
    write_config(output, config)  # after all options were checked
    num_queries = detr.output["boxes"].shape[1]
    fit(
        model,
        check_dataset(
            batches, num_classes=detr.num_classes, num_queries=num_queries
        ),
        _callbacks(train, seen, output, detr, sampling, options),
        steps_per_epoch=steps,
        epochs=options["epochs"],
    )
    _save_best(model, detr, output, printer)


def _read(folder, invalid, masks):
    train, val = (
        read_split(folder, x, invalid, masks) for x in ("train", "val")
    )
    if train.class_names != val.class_names:
        raise ValueError(
            "Training and validation data must have the same categories. "
            f"Received: {train.class_names} and {val.class_names}"
        )
    return train, val


def _check_queries(train, detr):
    crowded = too_many_boxes(train.records, detr.output["boxes"].shape[1])
    if crowded:
        raise ValueError(
            f"{crowded[0]}. Give --num-queries, or leave such images out; "
            f"there are {len(crowded)}."
        )


def _sampling(train, share):
    return None if share is None else RepeatFactorSampling(train, share)


def _steps(train, sampling, batch_size):
    """Of an epoch."""
    num_images = len(train) if sampling is None else sampling.num_images
    return max(1, num_images // batch_size)


def _callbacks(train, seen, output, detr, sampling, options):
    """Callbacks: non-finite steps, AP, a table, pictures."""
    images = functools.partial(
        batch_paths,
        train,
        options["batch_size"],
        seed=options["seed"],
        sampling=sampling,
    )
    names = train.class_names
    return [
        SkipNonFinite(images=images),
        CocoAveragePrecision(data=seen, masks=options["masks"]),
        keras.callbacks.CSVLogger(str(output / "history.csv"), append=True),
        DetectionPictures(
            seen,
            output / "pictures",
            class_names=names,
            scale=enlargement(options, detr),
        ),
    ]


def _save_best(model, detr, output, printer):
    checkpoints = output / "checkpoints"
    path, manifest = best_checkpoint(checkpoints) or next(
        whole_checkpoints(checkpoints)
    )
    load_state(path, model, ("model", "optimizer"))
    hidden = output / f"writing-{MODEL}"  # a name that ends in .keras
    with averaged_weights(model):
        detr.save(hidden)
    hidden.rename(output / MODEL)
    path, epoch = output / MODEL, manifest["epoch"]
    text = f"{path}: epoch {epoch}"
    printer.report("model", text, path=str(path), epoch=epoch)


def _batches(train, val, first_batch, detr, sampling, options):
    """Of training, from where the run is, and of validation."""
    same = {
        **scales(options, detr),
        "broken": "skip" if options["skip_broken"] else "raise",
        "masks": options["masks"],
    }
    size = options["batch_size"]
    batches = detection_dataset(
        train,
        size,
        training=True,
        seed=options["seed"],
        first_batch=first_batch,
        sampling=sampling,
        crop_short_sides=options["crop_short_sides"],
        crop_range=options["crop_range"],
        flips=not options["no_flips"],
        **same,
    )
    return batches, detection_dataset(val, size, training=False, **same)
