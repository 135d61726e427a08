import gc

import keras
import numpy as np
import pytest

from tests import eager


@pytest.hookimpl(tryfirst=True)  # before fixtures
def pytest_runtest_setup(item):
    eager.is_eager = item.get_closest_marker("compiled") is None


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Ends each file's models; thousands of graphs together take a minute."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """As `keras-vtr train` reads it; not to be changed."""
    from tests.digit_folder import write_digits

    return write_digits(tmp_path_factory.mktemp("data"))
