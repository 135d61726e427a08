"""Runs an exported model like a server, in a process without Keras.

    python self_check.py FOLDER EXPECTED.npz

This file is also a program, so it imports nothing of keras_vtr.
"""

import pathlib
import subprocess
import sys

if __name__ == "__main__":
    # Makes importing them fail. TensorFlow 2.21 imports both if they are
    # installed, which doubles its import time.
    sys.modules["keras"] = sys.modules["jax"] = None

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
# Outputs in the order of scores may swap two with nearly equal scores, so only
# these are compared.
COMPARED = {"scores", "features", "ok"}
TOLERANCE = 1e-3


class SelfCheckError(RuntimeError):
    """An exported model whose outputs differ from the model's."""


def check_export(folder, signatures, requests, temporary):
    """Runs the export and compares its outputs with those of this process.

    Args:
        folder: Of the SavedModel.
        signatures: Dict of the functions that were exported.
        requests: Dict of signature to dict of input arrays, batch first.
        temporary: An empty folder.

    Raises:
        SelfCheckError: If the export doesn't load, run or agree.
    """
    packed = {}
    for signature, inputs in requests.items():
        answer = signatures[signature](**_tensors(inputs))
        for key, x in answer.items():
            if x.dtype.is_floating and not np.isfinite(x).all():
                raise SelfCheckError(
                    f"The output {key!r} of {signature!r} is not finite; the "
                    "model's training may have diverged."
                )
        for kind, values in (("in", inputs), ("out", answer)):
            for key, x in values.items():
                packed[f"{signature}/{kind}/{key}"] = _pack(np.asarray(x))
    path = temporary / "expected.npz"
    np.savez(path, **packed)
    # -P: without this file's folder in sys.path.
    run = subprocess.run(
        [sys.executable, "-P", __file__, folder, path],
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        raise SelfCheckError(
            "The exported model failed in a process without Keras, and was "
            f"not published:\n{run.stderr[-2000:]}"
        )


def main():
    folder, path = map(pathlib.Path, sys.argv[1:])
    expected = np.load(path)
    signatures = tf.saved_model.load(folder).signatures
    for name, signature in signatures.items():
        inputs = _unpack(expected, f"{name}/in/")
        answer = _unpack(expected, f"{name}/out/")
        check_answer(name, signature, inputs, answer)
        for num_rows in (0, 1):
            some = {key: x[:num_rows] for key, x in inputs.items()}
            found = signature(**_tensors(some))
            for key, x in found.items():
                shape = (num_rows, *answer[key].shape[1:])
                _require(x.shape == shape, f"{key} of {name}: {x.shape}")
    if (folder / WARMUP).exists():
        replay(folder / WARMUP, signatures)


def _pack(array):
    """As bytes, since strings of any length would need pickle."""
    proto = tf.make_tensor_proto(array)
    return np.frombuffer(proto.SerializeToString(), "uint8")


def _unpack(packed, prefix):
    keys = [key for key in packed.files if key.startswith(prefix)]
    protos = {
        key: TensorProto.FromString(packed[key].tobytes()) for key in keys
    }
    return {
        key.removeprefix(prefix): tf.make_ndarray(x)
        for key, x in protos.items()
    }


def _tensors(arrays):
    return {key: tf.constant(x) for key, x in arrays.items()}


def check_answer(name, signature, inputs, expected):
    """Refuses other keys, types, shapes or values than expected."""
    found = signature(**_tensors(inputs))
    _require(
        set(found) == set(expected), f"{name} has the outputs {sorted(found)}"
    )
    for key, x in found.items():
        label = f"{key} of {name}"
        is_wide = x.dtype in (tf.float32, tf.int32, tf.string)
        _require(is_wide, f"{label} is {x.dtype.name}")
        _require(x.shape == expected[key].shape, f"{label} has shape {x.shape}")
        if name == "raw" or key in COMPARED:
            np.testing.assert_allclose(
                x, expected[key], rtol=TOLERANCE, atol=TOLERANCE, err_msg=label
            )


def _require(condition, message):
    if not condition:
        raise SelfCheckError(message)


def replay(path, signatures):
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {k: tf.make_ndarray(x) for k, x in request.inputs.items()}
        signatures[request.model_spec.signature_name](**_tensors(inputs))


if __name__ == "__main__":
    main()
