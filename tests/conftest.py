import keras
import numpy as np
import pytest


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
