"""The loaders and calls that TF Serving uses."""

import json
import os
import subprocess
import sys

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.data import picture_files as pictures


def images():
    good = [pictures.turned_jpeg(6), pictures.kinds()["png"]]
    return [good[0], b"no picture", good[1]]


def test_a_session_runs_by_the_names_of_the_signature(detector, ask):
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(
            session, ["serve"], str(detector[1])
        )
        signature = loaded.signature_def["serving_default"]
        answer = session.run(
            {key: x.name for key, x in signature.outputs.items()},
            {signature.inputs["image_bytes"].name: images()},
        )
    for key, value in ask(images()).items():
        np.testing.assert_array_equal(answer[key], value)


def test_the_c_api_loads_and_asks_it_without_python(detector, ask, tmp_path):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((detector[1] / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    names = {
        "inputs": {key: x.name for key, x in signature.inputs.items()},
        "outputs": {key: x.name for key, x in signature.outputs.items()},
    }
    (tmp_path / "names.json").write_text(json.dumps(names))
    for i, image_bytes in enumerate(images()):
        (tmp_path / str(i)).write_bytes(image_bytes)
    program = (sys.executable, "-m", "tests.serving.c_loader", detector[1])
    files = [tmp_path / x for x in ("names.json", "0", "1", "2")]
    run = subprocess.run(
        [*program, *files],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    answer = json.loads(run.stdout)
    for key, value in ask(images()).items():
        if key == "label_names":
            assert answer[key] == [[x.decode() for x in row] for row in value]
        else:
            np.testing.assert_allclose(answer[key], value, atol=1e-3)
