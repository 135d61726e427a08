"""What a layer costs that is used alone."""

import os
import pathlib
import subprocess
import sys

import pytest

import keras_vtr

ROOT = pathlib.Path(__file__).parents[1]
HEAVY = {"tensorflow", "pycocotools", "PIL", "filelock", "yaml", "safetensors"}
PROGRAM = """
import sys
import keras

before = {name.split(".")[0] for name in sys.modules}
import keras_vtr

layer = keras_vtr.layers.FeedForward(4)
print(tuple(layer(keras.ops.ones((1, 2, 3))).shape))
after = {name.split(".")[0] for name in sys.modules}
print("tensorflow" in after, sorted(after - before))
print(keras_vtr.data.read_coco.__name__)
"""


def test_a_layer_on_jax_needs_jax_alone():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    shape, modules, later = answer.stdout.splitlines()
    assert shape == "(1, 2, 3)" and later == "read_coco"
    has_tensorflow, added = modules.split(" ", 1)
    assert has_tensorflow == "False" and "keras_vtr" in added
    assert not HEAVY & set(added.strip("[]").replace("'", "").split(", "))


def test_all_sub_packages_are_there_and_no_other():
    assert set(dir(keras_vtr)) == set(keras_vtr.__all__)
    for name in keras_vtr.__all__:
        assert getattr(keras_vtr, name)
    with pytest.raises(AttributeError, match="no attribute 'utils'"):
        keras_vtr.utils  # noqa: B018
