"""Small objects of a large picture, found in tiles and without them.

    python examples/train_masks.py
    python benchmarks/tiles.py

The detector of the first command, for 64 x 64 pixels, looks at one scene of
4,000 x 4,000 pixels with up to 3,000 digits of 12 pixels: stretched to its
size, and in tiles of 48 pixels, in which digits are as large as those it has
learned. Printed: average precision and recall (of all detections, not COCO's
best 100 of a class), the number of detections, seconds, and the most memory
that a process of its own had, libraries, model and scene included; and, of
each, the upper left corner as a picture. The first row is of 500 scenes of
64 x 64 pixels.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

import keras
import numpy as np

import keras_vtr

ROOT = pathlib.Path(__file__).parent.parent
SIDE, LARGE_SIDE = 64, 4000
LAYOUT = keras_vtr.data.SceneLayout(
    image_size=LARGE_SIDE,
    max_digits=3000,
    digit_heights=(12.0, 12.0),
    num_tries=4,
)
ROWS = {  # arguments of Tiles
    "whole picture": None,
    "tiles, no overlap": {"overlap": 0.0},
    "tiles, overlap 1/4": {"overlap": 1 / 4},
}


def small_scenes(path):
    """What the detector has learned, as a line of the table."""
    held_out = keras_vtr.data.digit_scenes(
        "held_out", batch_size=100, num_scenes=500
    )
    precision = keras_vtr.metrics.CocoAveragePrecision((SIDE, SIDE))
    model = keras.models.load_model(path, compile=False)
    return precision.evaluate(model, held_out)


def large_scene(path):
    """Makes the scene, whose memory no row's process has."""
    scenes = keras_vtr.data.digit_scenes(
        "held_out", layout=LAYOUT, batch_size=1, num_scenes=1, seed=2
    )
    images, y_true = next(scenes.as_numpy_iterator())
    np.savez(path, image=images[0].astype("uint8"), **y_true)


def peak_mib():
    """On Linux, whose unit is KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(row, model_path, scene_path, picture_path):
    """Prints the JSON of a row."""
    model = keras.models.load_model(model_path, compile=False)
    scene = np.load(scene_path)
    image, tiles = scene["image"], ROWS[row]
    if tiles is not None:
        tiles = keras_vtr.detections.Tiles((48, 48), batch_size=32, **tiles)
    keras_vtr.detect(model, [image[:SIDE, :SIDE]])  # whatever comes first
    begin = time.perf_counter()
    (found,) = keras_vtr.detect(
        model, [image], score_threshold=0.05, tiles=tiles
    )
    seconds, mib = time.perf_counter() - begin, peak_mib()
    precision = keras_vtr.metrics.CocoAveragePrecision(
        image.shape, max_detections=None
    )
    keys = ("boxes", "scores", "labels")
    y_true = {key: scene[key] for key in ("boxes", "labels")}
    precision.update_state(y_true, {key: found[key][None] for key in keys})
    result = {"boxes": len(found["scores"]), "s": seconds, "MiB": mib}
    print(json.dumps(precision.result() | result))
    draw(image, found, picture_path)


def draw(image, found, path, side=320):
    """The upper left corner, with what is wholly within it."""
    kept = (found["boxes"] < side).all(axis=1)
    keras_vtr.visualization.draw_boxes(
        image[:side, :side],
        *(found[key][kept] for key in ("boxes", "labels", "scores")),
        scale=4,
    ).save(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=str(ROOT / "digit_masks.keras"))
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--output", type=pathlib.Path, default=".")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    scene_path = arguments.output / "tiles_scene.npz"
    if arguments.row:
        name = f"tiles_{list(ROWS).index(arguments.row)}.png"
        paths = arguments.model, scene_path, arguments.output / name
        return measure(arguments.row, *paths)
    large_scene(scene_path)
    print("| | AP | AP50 | AR | boxes | s | MiB |")
    print("|---|---|---|---|---|---|---|")
    result = small_scenes(arguments.model)
    cells = [f"{result[key]:.3f}" for key in ("AP", "AP50", "AR")]
    print(f"| 500 scenes of {SIDE} x {SIDE} | {' | '.join(cells)} | | | |")
    for row in ROWS:
        command = [sys.executable, __file__, "--row", row]
        command += ["--model", arguments.model]
        command += ["--output", str(arguments.output)]
        lines = subprocess.check_output(command, text=True)
        result = json.loads(lines.splitlines()[-1])
        cells = [f"{result[key]:.3f}" for key in ("AP", "AP50", "AR")]
        cells += [f"{result[key]:,.0f}" for key in ("boxes", "s", "MiB")]
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
