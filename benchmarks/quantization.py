"""What int8 costs in accuracy and saves in time and bytes, on digit scenes.

    python examples/train_detr.py
    pip install -e ".[examples,onnx]"
    python benchmarks/quantization.py digit_detr.keras

The ONNX file of the model as it is and in int8, calibrated by 100 scenes of the
training digits, judged on 500 held-out scenes; times are medians of 200 calls
of one image, in turns, with two threads.
Takes 1 minute on two cores.
"""

import pathlib
import statistics
import sys
import tempfile
import time

from runtimes import onnx_session

import keras  # isort: skip  threads are set before

import keras_vtr  # isort: skip

IMAGE_SHAPE = (64, 64, 1)


def detections(run, images):
    boxes, labels, scores = run(images)
    return {"boxes": boxes, "labels": labels, "scores": scores}


def average_precision(run):
    metric = keras_vtr.metrics.CocoAveragePrecision(IMAGE_SHAPE)
    scenes = keras_vtr.data.digit_scenes(
        "held_out", batch_size=100, num_scenes=500
    )
    for images, y_true in scenes.as_numpy_iterator():
        metric.update_state(y_true, detections(run, images))
    return metric.result()


def milliseconds(run, image):
    begin = time.perf_counter()
    run(image)
    return 1e3 * (time.perf_counter() - begin)


def compare(model):
    """Prints the table of a detector of digit scenes."""
    scenes = keras_vtr.data.digit_scenes("train", batch_size=100)
    images, _ = next(scenes.as_numpy_iterator())
    with tempfile.TemporaryDirectory() as folder:
        export = keras_vtr.serving.export_detector
        files = {
            "float32": export(model, folder, format="onnx"),
            "int8": export(
                model, folder, format="onnx", calibration_images=images
            ),
        }
        files = {key: pathlib.Path(x, "model.onnx") for key, x in files.items()}
        runs = {key: onnx_session(path) for key, path in files.items()}
        times = {key: [] for key in runs}
        for _ in range(200):
            for key, run in runs.items():
                times[key].append(milliseconds(run, images[:1]))
        sizes = {key: path.stat().st_size for key, path in files.items()}
    print("| | AP | AP50 | AP75 | ms | KiB |\n|---|---|---|---|---|---|")
    for key, run in runs.items():
        found = average_precision(run)
        cells = [f"{found[name]:.3f}" for name in ("AP", "AP50", "AP75")]
        cells += [f"{statistics.median(times[key]):.2f}"]
        print(f"| {key} | {' | '.join(cells)} | {sizes[key] / 1024:.0f} |")


if __name__ == "__main__":
    compare(keras.models.load_model(sys.argv[1]))
