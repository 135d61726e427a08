"""What it saves to keep the keys and values of the tokens written so far.

    pip install -e ".[benchmarks]" && python benchmarks/generation.py

A Transformer of width 256, 4 + 4 layers, random weights, writes greedily for 8
sources of 16 tokens: in one graph with its past kept (`build_generator`), and
by the whole model anew for each token, `predict_on_batch` with a target of full
length. Two threads; the median of five calls in turns. Takes 2 minutes on two
cores.
"""

import statistics
import time

import keras
import numpy as np
from runtimes import tensorflow

import keras_vtr

LENGTHS = (8, 32, 128)
VOCABULARY, START, END = 1000, 1, 2


def build():
    keras.utils.set_random_seed(0)
    return keras_vtr.models.build_transformer(
        VOCABULARY,
        hidden_dim=256,
        num_layers=4,
        num_heads=8,
        mlp_dim=1024,
        normalize_first=True,
    )


def write_anew(transformer, source, length):
    """Greedily, without a memory; no answer is taken to have ended."""
    target = np.zeros((len(source), length + 1), "int32")
    target[:, 0] = START
    for place in range(length):
        inputs = {"source": source, "target": target[:, :-1]}
        logits = transformer.predict_on_batch(inputs)[:, place]
        target[:, place + 1] = logits[:, 1:].argmax(axis=-1) + 1
    return target[:, 1:]


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main():
    tensorflow()
    transformer = build()
    rng = np.random.default_rng(0)
    source = rng.integers(3, VOCABULARY, size=(8, 16)).astype("int32")
    print("| tokens | past kept, s | anew, s | ratio |\n|---|---|---|---|")
    for length in LENGTHS:
        writer = keras_vtr.models.build_generator(
            transformer, start_token=START, end_token=END, max_length=length
        )

        def kept(writer=writer):
            return writer.predict_on_batch({"source": source})["tokens"]

        def anew(length=length):
            return write_anew(transformer, source, length)

        found, expected = kept(), anew()
        until = np.cumsum(found == END, axis=1) - (found == END) == 0
        assert (found == expected)[until].all(), "they differ"
        assert until.all(), "an answer ended: the times are of less"
        rounds = [(seconds(kept), seconds(anew)) for _ in range(5)]
        times = [
            statistics.median(column) for column in zip(*rounds, strict=True)
        ]
        ratio = statistics.median(slow / fast for fast, slow in rounds)
        print(f"| {length} | {times[0]:.3f} | {times[1]:.3f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
