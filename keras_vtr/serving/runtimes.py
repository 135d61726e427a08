"""Exports to other runtimes than TensorFlow, with Keras's `Model.export`."""

import importlib.util
import warnings

import numpy as np

from keras_vtr.serving.self_check import SelfCheckError

# Format to its file, and the packages that write and run it.
RUNTIMES = {
    "onnx": ("model.onnx", ("tf2onnx", "onnxruntime")),
    "litert": ("model.tflite", ("ai_edge_litert",)),
    "openvino": ("model.xml", ("openvino",)),
}
TOLERANCE = 1e-4
# Where two scores are nearly equal, rounding alone decides which class a query
# has, or which token becomes which query. The model itself shows it, if pixels
# change by as little: then most detections must be right, as far as they are
# under such a change, and a broken export has none that are.
ROUNDING, MOST, LARGEST_ERROR = 1e-5, 0.9, 0.05
LOGITS = {"logits", "sigmoid_logits", "masks"}


def check_runtime(format):
    """Refuses a format whose packages aren't installed.

    Args:
        format: One of `RUNTIMES`.

    Raises:
        ImportError: If a package is missing.
    """
    packages = RUNTIMES[format][1]
    missing = [x for x in packages if importlib.util.find_spec(x) is None]
    if missing:
        raise ImportError(
            f"The format {format!r} needs the packages {missing}: install "
            f"keras_vtr's extra {format!r}."
        )


def write_runtime(folder, format, model, calibration_images=None, derived=()):
    """Writes a model for a runtime and compares its outputs there.

    Args:
        folder: Where to write it.
        format: One of `RUNTIMES`.
        model: A functional model from one batch of images to a dict.
        calibration_images: As for `export_detector`.
        derived: Names of outputs that aren't compared.

    Raises:
        SelfCheckError: If the runtime's outputs differ, before quantization
            to int8. The errors of int8 are not checked.
    """
    path = folder / RUNTIMES[format][0]
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (3, *model.inputs[0].shape[1:]))
    images = images.astype("float32")
    # Keras 3.15.1 exports only a model that has been called.
    expected = {key: np.asarray(x) for key, x in model(images).items()}
    with warnings.catch_warnings():  # NumPy's, in Keras's export
        warnings.simplefilter("ignore")
        model.export(str(path), format=format, verbose=False)
    noise = 1 + ROUNDING * rng.uniform(-1, 1, images.shape)
    changed = model((images * noise).astype("float32"))
    changed = {key: np.asarray(x) for key, x in changed.items()}
    run = RUN[format](path)
    # LiteRT's converter may have made the batch a constant of the graph.
    for num_images in (3, 1):
        answer = run(images[:num_images])
        right, near = (
            {key: x[:num_images] for key, x in outputs.items()}
            for outputs in (expected, changed)
        )
        compared = right, max(images.shape[1:3]), derived
        error, most = _error_and_limit(
            *(_errors(x, *compared) for x in (answer, near))
        )
        if not error <= most:
            raise SelfCheckError(
                f"The outputs in the format {format!r} differ from the "
                f"model's by {error}; {most} would be rounding. Nothing "
                "was published."
            )
    if calibration_images is not None:
        from keras_vtr.serving.quantization import quantize

        quantize(path, np.asarray(calibration_images, "float32"))
        run_onnx(path)(images)


def _error_and_limit(errors, own):
    """The error that counts, and the largest that is rounding.

    Args:
        errors: Of the detections, in the runtime.
        own: The model's own, where pixels change by as little as rounding.
    """
    if own.max() <= TOLERANCE:
        return errors.max(), TOLERANCE
    error, own_error = np.quantile([errors, own], MOST, axis=1)
    return error, max(TOLERANCE, min(4 * own_error, LARGEST_ERROR))


def _errors(found, expected, side, derived=()):
    """The error of each detection, its outputs relative to their `_scale`.

    Detections with nearly equal scores may be in another order. So each one is
    compared with all, and its smallest error counts. Classes may be many
    thousands, so of a classifier only the scores are compared.
    """
    if {x.shape for x in found.values()} != {
        x.shape for x in expected.values()
    }:
        return np.array([np.inf])
    if "boxes" not in expected:
        return np.array(
            [
                np.abs(found[key] - x).max() / _scale(key, x, side)
                for key, x in expected.items()
                if key != "labels"
            ]
        )
    smallest = []
    for i, j in np.ndindex(expected["labels"].shape):
        errors = 0.0  # (n,)
        for key in expected.keys() - set(derived):
            x = expected[key]
            pairs = np.abs(found[key][i, j] - x[i]).reshape(len(x[i]), -1)
            error = pairs.max(axis=1) / _scale(key, x, side)
            errors = np.maximum(errors, error)
        smallest.append(errors.min())
    return np.array(smallest)


def _scale(key, x, side):
    """Of boxes the image's side; of logits the largest, if it is above 1."""
    if key == "boxes":
        return side
    return max(1.0, np.abs(x).max()) if key in LOGITS else 1.0


def run_onnx(path):
    """A function from images to a dict of arrays, in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(
        zip(names, session.run(names, {"images": images}), strict=True)
    )


def run_litert(path):
    """The same in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner()
    return lambda images: runner(images=images)


def run_openvino(path):
    """The same in OpenVINO."""
    import openvino

    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", precision)

    def run(images):
        answer = compiled({"images": images}).to_dict()
        return {key.get_any_name(): np.array(x) for key, x in answer.items()}

    return run


RUN = {"onnx": run_onnx, "litert": run_litert, "openvino": run_openvino}
