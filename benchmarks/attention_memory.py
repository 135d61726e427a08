"""Memory and time of a ViT on a large image, with attention in chunks.

    pip install -e ".[parity]" && python benchmarks/attention_memory.py

ViT-B/16 at 1024 x 1024 (4,097 tokens), batch 1, float32: inference, and a
training step (SGD). transformers on torch has fused attention
(scaled_dot_product_attention). Each in a process of its own, asked in turn;
two threads; the most memory that a process had, less what it had before the
first call. Relative to torch, within each round. A step of plain attention
keeps the weights of 12 layers, 9 GiB. Three rounds of inference took 20 minutes
on two cores with other work on them.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from side_by_side import Competitor

import numpy as np  # isort: skip  threads are set before

NAMES = (
    "transformers on torch",
    "keras_vtr",
    "keras_vtr, query_chunk_size=1024",
    "keras_vtr, query_chunk_size=256",
)
TASKS = ("inference", "training step")
SIDE = 1024


def images():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")


def torch_call(task):
    import torch
    import transformers

    torch.set_num_threads(2)
    config = transformers.ViTConfig(
        num_labels=1000, image_size=SIDE, attn_implementation="sdpa"
    )
    model = transformers.ViTForImageClassification(config)
    pixels = torch.tensor(images().transpose(0, 3, 1, 2) / 127.5 - 1)
    pixels = pixels.contiguous()
    if task == "inference":
        model.eval()

        def infer():
            with torch.inference_mode():
                model(pixels)

        return infer
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    labels = torch.zeros(1, dtype=torch.long)

    def step():
        optimizer.zero_grad()
        logits = model(pixels).logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    return step


def our_call(task, query_chunk_size):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    import keras

    import keras_vtr

    vit = keras_vtr.models.build_vit(
        1000,
        size="base",
        image_shape=(SIDE, SIDE, 3),
        query_chunk_size=query_chunk_size,
    )
    pixels = tf.constant(images())
    if task == "inference":
        graph = tf.function(lambda x: vit(x, training=False))
        return lambda: graph(pixels).numpy()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    vit.compile(keras.optimizers.SGD(1e-3), loss, jit_compile=False)
    labels = tf.zeros(1, "int32")
    return lambda: vit.train_on_batch(pixels, labels)


def work(name, task):
    """Answers each line with the seconds and the MiB of a call."""
    if "torch" in name:
        call = torch_call(task)
    else:
        size = name.partition("=")[2]
        call = our_call(task, int(size) if size else None)
    before = peak()
    call()
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
        answer = {"seconds": seconds, "MiB": peak() - before}
        print(json.dumps(answer), flush=True)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(task, names, num_rounds):
    running = {}
    for name in names:
        running[name] = Competitor([sys.executable, __file__, name, task])
        problem = running[name].wait_until_ready()
        if problem is not None:
            sys.exit(f"{name} can't start: {problem}")
    answers = {name: [] for name in names}
    for _ in range(num_rounds):
        for name, competitor in running.items():
            answers[name].append(competitor.ask())
    print(f"\n| {task} | MiB | relative | seconds | time, relative |")
    print("|---|---|---|---|---|")
    base = answers[names[0]]
    for name, found in answers.items():
        pairs = zip(found, base, strict=True)
        ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
        seconds = statistics.median(x["seconds"] for x in found)
        most, least = (x[-1]["MiB"] for x in (found, base))
        print(
            f"| {name} | {most:,.0f} | {most / least:.2f} | {seconds:.1f} | "
            f"{ratio:.2f} |"
        )
    sys.stdout.flush()
    for competitor in running.values():
        competitor.close()


def main():
    if len(sys.argv) == 3 and sys.argv[1] in NAMES:
        return work(*sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    arguments = parser.parse_args()
    for task in arguments.tasks:
        compare(task, arguments.names, arguments.rounds)


if __name__ == "__main__":
    main()
