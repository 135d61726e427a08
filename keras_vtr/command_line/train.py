"""Trains a detector or classifier; run again, it resumes where it was.

A folder of class folders trains a ViT, any other layout a detector. Writes into
--output: config.yaml, checkpoints/, history.csv, pictures/ and, at the end, the
best epoch's model.keras. On a terminal it draws a progress bar; elsewhere it
prints a line an epoch.
"""

import argparse
import functools
import pathlib

import keras

from keras_vtr.callbacks import Checkpoint
from keras_vtr.callbacks import SkipNonFinite
from keras_vtr.callbacks.checkpoint_files import best_checkpoint
from keras_vtr.callbacks.checkpoint_files import load_state
from keras_vtr.callbacks.checkpoint_files import whole_checkpoints
from keras_vtr.command_line import fitting
from keras_vtr.command_line.fitting import OF_PROCESS
from keras_vtr.command_line.fitting import Fitting
from keras_vtr.command_line.run_folder import MODEL
from keras_vtr.command_line.run_folder import check_config
from keras_vtr.command_line.run_folder import write_config
from keras_vtr.command_line.tasks import task_of_data
from keras_vtr.data import RepeatFactorSampling
from keras_vtr.data import batch_paths
from keras_vtr.data import read_training_data
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.dataset_checks import check_workers
from keras_vtr.data.formats.dividing import SPLIT_FILE
from keras_vtr.data.inspection import NUM_QUERIES
from keras_vtr.optimizers import averaged_weights
from keras_vtr.training import enable_determinism

MODEL_HELP = (
    "'small', with random weights, or a pretrained DETR, RF-DETR or, for class "
    "folders, ViT: a .pth, a folder, hf://facebook/detr-resnet-50, "
    "hf://Roboflow/rf-detr-nano, hf://google/vit-base-patch16-224"
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
    sides = {"type": int, "help": "pixels, to choose from; default: DETR's"}
    add("--short-sides", nargs="+", **sides)
    add("--crop-short-sides", nargs="+", **sides)
    add("--crop-range", nargs=2, **sides)
    add("--longest-side", type=int, help=f"pixels; default: {LONGEST_SIDE}")
    stretched = (
        "of the squares of an RF-DETR, the first one in evaluation, or of a "
        "ViT; default: the model's own"
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


def run(folder, output, *, printer, dry_run, **options):
    folder, output = pathlib.Path(folder), pathlib.Path(output)
    split_file = output / SPLIT_FILE
    data = read_training_data(
        folder,
        None if dry_run and not split_file.exists() else split_file,
        seed=options["seed"],
        invalid="drop" if options["skip_broken"] else "raise",
        masks=options["masks"],
    )
    printer.report("data", data, layout=data.layout, remarks=[*data.remarks])
    task = task_of_data(data.train, options)
    config = {"task": task.name, "folder": str(folder.resolve())}
    config |= {x: task.config[x] for x in options if x not in OF_PROCESS}
    check_config(output, config)
    keras.utils.set_random_seed(options["seed"])
    if options["deterministic"]:
        enable_determinism()
    keras.config.set_dtype_policy(options["precision"])
    model = task.build(data.train.class_names)
    sampling = _sampling(data.train, options["repeat_rare"])
    steps = _steps(data.train, sampling, options["batch_size"])
    trained = task.compile(model, steps)
    if dry_run:
        batches, _ = task.batches(data.train, data.val, 0, model, sampling)
        return _train_one_step(trained, batches, printer)
    checkpoint = Checkpoint(
        output / "checkpoints",
        every_steps=options["save_every"],
        monitor=task.monitor,
    )
    done = checkpoint.num_steps
    printer.report("resumed", f"{done} steps are done.", num_steps=done)
    batches, seen = task.batches(data.train, data.val, done, model, sampling)
    evaluated = -(-len(data.val) // options["batch_size"])
    fit = Fitting(checkpoint, output, printer, options, evaluated).fit
    data.save_split()  # after all options were checked
    write_config(output, config)
    images = {"seed": options["seed"], "sampling": sampling}
    images = functools.partial(
        batch_paths, data.train, options["batch_size"], **images
    )
    validation, callbacks = task.evaluation(seen, model, output / "pictures")
    history = keras.callbacks.CSVLogger(output / "history.csv", append=True)
    callbacks = [SkipNonFinite(images=images), *callbacks, history]
    steps = {"steps_per_epoch": steps, "epochs": options["epochs"]}
    fit(trained, batches, callbacks, **steps, **validation)
    _save_best(trained, model, output, printer)


def _train_one_step(trained, batches, printer):
    options = {"steps_per_epoch": 1, "shuffle": False, "verbose": 0}
    history = trained.fit(batches, **options).history
    (loss,) = history["loss"]
    text = f"One step is trained, its loss is {loss:.4g}. Nothing is written."
    printer.report("dry_run", text, loss=loss)


def _sampling(train, share):
    return None if share is None else RepeatFactorSampling(train, share)


def _steps(train, sampling, batch_size):
    """Of an epoch."""
    check_workers(batch_size, num_workers=1, worker=0)
    num_images = len(train) if sampling is None else sampling.num_images
    return max(1, num_images // batch_size)


def _save_best(trained, model, output, printer):
    checkpoints = output / "checkpoints"
    path, manifest = best_checkpoint(checkpoints) or next(
        whole_checkpoints(checkpoints)
    )
    load_state(path, trained, ("model", "optimizer"))
    hidden = output / f"writing-{MODEL}"  # a name that ends in .keras
    with averaged_weights(trained):
        model.save(hidden)
    hidden.rename(output / MODEL)
    path, epoch = output / MODEL, manifest["epoch"]
    text = f"{path}: epoch {epoch}"
    printer.report("model", text, path=str(path), epoch=epoch)
