"""Draws the pictures of the documentation that are drawn, as SVG.

    python docs/pictures/draw.py

Takes about 20 seconds, most of it for importing TensorFlow. Expect one file for
each row of `PICTURES`. Names of stages and classes and all shapes are those of
models that are built here, the numbers those of our layers:
`tests/docs/test_pictures.py` fails if a picture and the code are no longer the
same.
"""

import pathlib

import blocks
import networks
import numbers_of_layers
import overview
import transformer

FOLDER = pathlib.Path(__file__).parent
PICTURES = {
    "overview": overview.overview,
    "patches": blocks.patches,
    "vit": networks.vit,
    "sine_table": numbers_of_layers.sine_table,
    "attention_row": numbers_of_layers.attention_row,
    "residual": blocks.residual,
    "feed_forward": blocks.feed_forward,
    "transformer": transformer.transformer,
    "who_looks": blocks.who_looks,
    "detr": networks.detr,
    "matching": numbers_of_layers.matching,
}


def main():
    for name, draw in PICTURES.items():
        path = FOLDER / f"{name}.svg"
        path.write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
