"""ViT-B/16 and a detector on one GPU: JAX compiled whole, beside torch.compile.

    PYTHONPATH=. python benchmarks/gpu.py

on a machine with Keras, JAX, torch and transformers; nothing is downloaded.
Weights are random, numbers bfloat16 (weights float32), images 224 x 224 and
384 x 384. The detectors: ours of `build_detr(size="modern")` on a ViT-S with
windows, and transformers' RF-DETR, both with 300 queries and three decoder
layers; 20 objects an image. Each competitor is a process of its own; they are
asked in turn for 20 calls or steps one behind the other, batches lying on the
card. "Of the matrix rate": the operations of a call by what a product of two
matrices reaches on the same card. `--tiny` tries everything on a CPU.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import time

from side_by_side import Competitor
from vit_detectors import NUM_CLASSES
from vit_detectors import SMALL_VIT
from vit_detectors import our_detector
from vit_detectors import rf_detr
from vit_detectors import task_of

import numpy as np  # isort: skip  the backend is set before Keras is imported

TASKS = {
    "ViT-B/16, inference": (64, 224),
    "ViT-B/16, training step": (64, 224),
    "detector, inference": (16, 384),
    "detector, training step": (16, 384),
}
TINY = {task: (2, 96) for task in TASKS}
NAMES = ("transformers, torch.compile", "keras_vtr on JAX")
NUM_TARGETS = 20
NUM_CALLS, TINY_CALLS = 20, 2
PATIENCE = 300  # seconds until all must have compiled


def data(batch_size, side):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch_size, side, side, 3)).astype("float32")
    shape = (batch_size, NUM_TARGETS)
    return images, {
        "labels": rng.integers(0, NUM_CLASSES, shape).astype("int32"),
        "boxes": rng.uniform(0.2, 0.6, (*shape, 4)).astype("float32"),
    }


def ours(task, batch_size, side, tiny, num_calls):
    """Calls as one function, operations of each, and calls of the matcher."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    import keras_vtr

    keras.config.set_dtype_policy("mixed_bfloat16")
    images, y_true = data(batch_size, side)
    shape = (side, side, 3)
    if task.startswith("ViT"):
        model = keras_vtr.models.build_vit(
            1000,
            size="base",
            image_shape=shape,
            **(SMALL_VIT if tiny else {}),
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        y_true = y_true["labels"][:, 0]
    else:
        model = our_detector(task_of(side, tiny))
        box_term = keras_vtr.losses.RelativeBoxTerm()
        terms = keras_vtr.losses.sigmoid_terms(box_term=box_term)
        loss = keras_vtr.losses.HungarianLoss(terms)
    model.compile(keras.optimizers.AdamW(1e-4), loss, jit_compile=True)
    weights = (model.trainable_variables, model.non_trainable_variables)
    weights = [[v.value for v in variables] for variables in weights]
    forward = jax.jit(lambda w, x: model.stateless_call(*w, x)[0])
    images, y_true = jax.device_put((images, y_true))
    operations = operations_of(forward, weights, images)
    if task.endswith("inference"):
        forward = functools.partial(forward, weights, images)
        return functools.partial(repeat, forward, num_calls), operations, None

    def steps():
        batches = ((images, y_true) for _ in range(num_calls))
        model.fit(batches, verbose=0)

    matcher = None
    if not task.startswith("ViT"):
        num_layers = 1 + model.output["auxiliary_boxes"].shape[1]
        num_queries = model.output["boxes"].shape[1]
        problems = (batch_size * num_layers, NUM_TARGETS)
        cost = np.random.default_rng(0).random((*problems, num_queries))
        cost, is_target = jax.device_put((cost, np.ones(problems, bool)))
        assign = jax.jit(keras_vtr.losses.matching.assign)
        assign = functools.partial(assign, cost, is_target)
        matcher = functools.partial(repeat, assign, num_calls)
    # Forward once, backward twice as much.
    return steps, 3 * operations, matcher


def repeat(function, num_calls):
    import jax

    jax.block_until_ready([function() for _ in range(num_calls)])


def operations_of(function, *arguments):
    """As XLA counts them on a CPU: it knows no library's kernels on a card."""
    import jax
    import keras

    keras.config.disable_flash_attention()
    arguments = jax.device_put(arguments, jax.devices("cpu")[0])
    compiled = function.lower(*arguments).compile()
    keras.config.enable_flash_attention()
    jax.clear_caches()
    return float(compiled.cost_analysis()["flops"])


def theirs(task, batch_size, side, tiny, num_calls):
    import torch
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    images, y_true = data(batch_size, side)
    pixels = torch.tensor(images.transpose(0, 3, 1, 2) / 127.5 - 1.0)
    pixels = pixels.float().contiguous().to(device)
    if task.startswith("ViT"):
        small = {"num_hidden_layers": 2, "hidden_size": 32}
        small |= {"num_attention_heads": 2, "intermediate_size": 64}
        config = transformers.ViTConfig(
            num_labels=1000, image_size=side, **(small if tiny else {})
        )
        model = transformers.ViTForImageClassification(config)
        labels = torch.tensor(y_true["labels"][:, 0]).long().to(device)
    else:
        model = rf_detr(task_of(side, tiny))
        labels = [
            {
                "class_labels": torch.tensor(a).long().to(device),
                "boxes": torch.tensor(b).to(device),
            }
            for a, b in zip(y_true["labels"], y_true["boxes"], strict=True)
        ]
    trains = task.endswith("step")
    model = model.to(device).train(trains)
    with FlopCounterMode(display=False) as counter:
        model.eval()(pixels)
    model.train(trains)
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step():
        with torch.autocast(device, dtype=torch.bfloat16):
            if not trains:
                with torch.no_grad():
                    compiled(pixels)
            else:
                loss = compiled(pixels, labels=labels).loss
        if trains:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def steps():
        for _ in range(num_calls):
            step()
        if device == "cuda":
            torch.cuda.synchronize()

    return steps, counter.get_total_flops() * (3 if trains else 1), None


def matrix_rate(tiny):
    """Operations a second of a product of two bfloat16 matrices, on JAX."""
    import jax
    import jax.numpy as jnp

    side = 512 if tiny else 8192
    matrix = jnp.ones((side, side), "bfloat16")
    product = jax.jit(lambda a, b: a @ b)
    product(matrix, matrix).block_until_ready()
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * side**3 / statistics.median(seconds)


def work(name, task, tiny):
    """Answers each line with the seconds of a call, and of its matcher."""
    # Two processes share the card.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if task == "matrix rate":
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(matrix_rate(tiny)), flush=True)
        return
    make = ours if name.startswith("keras_vtr") else theirs
    shape = (TINY if tiny else TASKS)[task]
    num_calls = TINY_CALLS if tiny else NUM_CALLS
    call, operations, matcher = make(task, *shape, tiny, num_calls)
    for function in filter(None, (call, matcher)):
        for _ in range(2):
            function()
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds = []
        for function in filter(None, (call, matcher)):
            begin = time.perf_counter()
            function()
            seconds.append((time.perf_counter() - begin) / num_calls)
        answer = {"seconds": seconds, "operations": operations}
        print(json.dumps(answer), flush=True)


def start(name, task, tiny):
    command = [sys.executable, __file__, "--work", name, task]
    return Competitor(command + ["--tiny"] * tiny)


def start_all(tiny):
    """Of each task the competitors that are ready; names those that are not."""
    # torch compiles on the processor. XLA times kernels on the card: in turn.
    started = {(task, NAMES[0]): start(NAMES[0], task, tiny) for task in TASKS}
    running = {task: {} for task in TASKS}
    deadline = time.monotonic() + PATIENCE
    for name in reversed(NAMES):
        for task in TASKS:
            competitor = started.get((task, name)) or start(name, task, tiny)
            seconds = max(1.0, deadline - time.monotonic())
            problem = competitor.wait_until_ready(seconds)
            if problem is None:
                running[task] = {name: competitor, **running[task]}
            else:
                print(f"{name}, {task}, absent: {problem[:200]}", flush=True)
    return running


def compare(task, running, rate, tiny, num_rounds):
    answers = {name: [] for name in running}
    for _ in range(num_rounds):
        for name, competitor in running.items():
            answers[name].append(competitor.ask())
    base = next(iter(answers.values()))
    for name, found in answers.items():
        pairs = zip(found, base, strict=True)
        ratios = [a["seconds"][0] / b["seconds"][0] for a, b in pairs]
        seconds = statistics.median(x["seconds"][0] for x in found)
        images = (TINY if tiny else TASKS)[task][0] / seconds
        share = found[0]["operations"] / seconds / rate
        matcher = ""
        if len(found[0]["seconds"]) > 1:
            of_step = [x["seconds"][1] / x["seconds"][0] for x in found]
            matcher = f"{statistics.median(of_step):.3f}"
        print(
            f"| {name}, {task} | {images:,.0f} | "
            f"{statistics.median(ratios):.2f} | {share:.2f} | {matcher} |",
            flush=True,
        )
        running[name].close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", nargs=2)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.tiny)
        return
    competitor = start(NAMES[1], "matrix rate", arguments.tiny)
    problem = competitor.wait_until_ready()
    if problem is not None:
        sys.exit(f"JAX can't start: {problem}")
    rate = competitor.ask()
    competitor.close()
    running = start_all(arguments.tiny)
    print(f"\nMatrix rate: {rate / 1e12:.1f} Tera-operations a second\n")
    print("| | images a second | time | of the matrix rate | matcher |")
    print("|---|---|---|---|---|")
    for task in TASKS:
        if running[task]:
            tiny, num_rounds = arguments.tiny, arguments.rounds
            compare(task, running[task], rate, tiny, num_rounds)


if __name__ == "__main__":
    main()
