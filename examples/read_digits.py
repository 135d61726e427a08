"""Reads strips of handwritten digits, one digit after the other.

    pip install -e ".[examples]" && python examples/read_digits.py

Takes 3 minutes on two cores. Expect 0.929 of 1,000 strips of other writers'
digits to be right (`--seed 1`: 0.956); read_digits.png shows where it looked. A
string has an end, so it is written digit by digit; DETR answers all at once.
"""

import argparse

import keras
import numpy as np

import keras_vtr
from keras_vtr import layers

WIDTH, MOST = 80, 5  # pixels of a strip, digits in it
START, END = 11, 12  # digit d is token d + 1; 0 is padding


def make_strips(split, count, seed):
    """Strips (B, 16, 80, 1) and their tokens (B, 7), start and end included."""
    rng = np.random.default_rng(seed)
    digits, labels, _ = keras_vtr.data.load_digits(split)
    change = [
        keras.layers.Resizing(16, 16, "bicubic"),
        keras.layers.RandomRotation(0.04, fill_mode="constant"),
        keras.layers.RandomZoom(0.15, 0.15, fill_mode="constant"),
    ]
    which = rng.integers(len(digits), size=(count, MOST))
    digits = digits[which.ravel()][..., None]
    for layer in change if split == "train" else change[:1]:
        digits = layer(digits, training=True)
    digits = np.clip(digits, 0, 255).reshape(count, MOST, 16, 16)
    strips = rng.uniform(0, 24, (count, 16, WIDTH)).astype("float32")
    tokens = np.zeros((count, MOST + 2), "int32")
    tokens[:, 0] = START
    for n in range(count):
        number = rng.integers(1, MOST + 1)
        tokens[n, 1 : number + 1] = labels[which[n, :number]] + 1
        tokens[n, number + 1] = END
        gaps = np.sort(rng.integers(0, WIDTH - 16 * number + 1, size=number))
        for i, begin in enumerate(gaps + 16 * np.arange(number)):
            strips[n, :, begin : begin + 16] += digits[n, i]
    return strips.clip(0, 255)[..., None], tokens


def build():
    """A few convolutions and a Transformer's encoder; then the decoder."""
    stem = keras_vtr.backbones.build_convolution_stem(
        (16, WIDTH, 1), filters=(64, 96)
    )  # (B, 4, 20, 96); its first norm takes pixels as they are
    positions = layers.SinePositionEncoding2D()(stem.output)
    tokens = keras.layers.Reshape((80, 96))(stem.output) + positions
    parts = layers.MultiHeadAttention(num_heads=4), layers.FeedForward(192)
    block = layers.TransformerEncoderBlock(*parts)
    memory = layers.TransformerEncoder(block, num_layers=1)(tokens)
    sizes = {"hidden_dim": 96, "num_layers": 1, "num_heads": 4, "mlp_dim": 192}
    return keras_vtr.models.build_transformer(
        END + 1,
        **sizes,
        dropout=0.1,
        normalize_first=True,
        encoder=keras.Model(stem.input, memory, name="encoder"),
    )


def train(reader, strips, tokens, epochs):
    """The decoder gets what is written so far, and says what comes next."""
    num_steps = epochs * len(strips) // 64
    rate = keras.optimizers.schedules.CosineDecay(2e-3, num_steps)
    reader.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0),
        keras_vtr.losses.SequenceCrossentropy(label_smoothing=0.1),
    )
    inputs = {"source": strips, "target": tokens[:, :-1]}
    reader.fit(inputs, tokens[:, 1:], 64, epochs, verbose=2)


def draw(reader, strips, tokens):
    """Each strip, and beside it where the decoder looked for each digit."""
    decoder = reader.get_layer("decoder")
    given = keras.Model(reader.input, decoder.input)
    given = given({"source": strips, "target": tokens[:, :-1]})
    options = {"use_causal_mask": True, "return_attention_scores": True}
    scores = np.array(decoder(*given, **options)[1])  # (B, L, H, T, N)
    pictures = []
    for i, strip in enumerate(strips):
        large = keras.utils.array_to_img(strip, scale=False)
        large = large.convert("RGB").resize((4 * WIDTH, 64))
        pictures.append(large)
        for t in range(MOST):
            is_digit = tokens[i, t + 1] not in (0, END)
            look = is_digit * scores[i, -1, :, t].mean(axis=0).reshape(4, 20)
            pictures.append(keras_vtr.visualization.draw_attention(large, look))
    return keras_vtr.visualization.draw_grid(pictures, 1 + MOST)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    reader = build()
    training = make_strips("train", 16_000, arguments.seed)
    train(reader, *training, arguments.epochs)
    strips, tokens = make_strips("held_out", 1000, seed=99)
    writer = keras_vtr.models.build_generator(
        reader, start_token=START, end_token=END, max_length=MOST + 1
    )
    found = writer.predict({"source": strips}, verbose=0)["tokens"]
    is_right = (found == tokens[:, 1:]).all(axis=1)
    print(f"{is_right.mean():.3f} of {len(strips)} strips are right")
    draw(reader, strips[:6], tokens[:6]).save("read_digits.png")


if __name__ == "__main__":
    main()
