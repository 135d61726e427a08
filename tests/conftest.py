import functools
import gc
import os
import subprocess
import sys
import traceback
import types
from unittest import mock

# XLA's programs run a few times here: to improve them takes longer than they
# do.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)

import keras
import numpy as np
import pytest

from tests import eager
from tests import traced_once  # noqa: F401


def pytest_collection_modifyitems(config, items):
    if keras.backend.backend() != "jax":
        return
    once = [x for x in items if x.get_closest_marker("any_backend")]
    config.hook.pytest_deselected(items=once)
    items[:] = [x for x in items if x not in once]


@pytest.hookimpl(tryfirst=True)  # before fixtures
def pytest_runtest_setup(item):
    is_compiled = item.get_closest_marker("compiled") is not None
    eager.is_eager = eager.CAN_BE_EAGER and not is_compiled


@pytest.fixture(scope="module", autouse=True)
def seeded_and_collected():
    """Thousands of graphs take a minute to be collected; a file's do not.

    What is left then, modules above all, is not looked at again.
    """
    keras.utils.set_random_seed(7)
    yield
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    # Hypothesis, which may be imported yet, looks for who refers to what.
    gc.unfreeze()


@pytest.fixture(autouse=True)
def seeded(seeded_and_collected):
    # TensorFlow 2.21 forgets every function that it has made ready when its
    # own seed is set, which is done once a file. Keras has seeds of its own.
    with mock.patch("tensorflow.random.set_seed"):
        keras.utils.set_random_seed(7)


@pytest.fixture(autouse=True)
def checked_here(request, monkeypatch):
    """Exports are loaded and asked in this process.

    A further one takes 6 seconds to import TensorFlow. Those of
    serving/test_self_check.py, and of fixtures for a session, have their own.
    """
    self_check = sys.modules.get("keras_vtr.serving.self_check")
    if self_check and request.path.stem != "test_self_check":
        fake = types.SimpleNamespace(run=functools.partial(_run, self_check))
        monkeypatch.setattr(self_check, "subprocess", fake)


def _run(program, command, **_):
    """As `subprocess.run` of the program, whose file is the third word."""
    with mock.patch("sys.argv", command[2:]):
        try:
            program.main()
        except Exception:
            error = traceback.format_exc()
            return subprocess.CompletedProcess(command, 1, "", error)
    return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """As `keras-vtr train` reads it; not to be changed."""
    from tests.digit_folder import write_digits

    return write_digits(tmp_path_factory.mktemp("data"))
