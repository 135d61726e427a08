import keras
import pytest

from keras_vtr import layers
from tests.layer_checks import check_layer
from tests.layers.cases import CASES

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize(
    "case", CASES, ids=[layer_class.__name__ for layer_class, *_ in CASES]
)
def test_it_passes_the_layer_check(case, tmp_path):
    *case, options = case
    check_layer(*case, **options, tmp_path=tmp_path)


def test_no_public_layer_is_left_out():
    checked = {layer_class for layer_class, *_ in CASES}
    assert checked == {getattr(layers, name) for name in layers.__all__}


@pytest.mark.parametrize("name", layers.__all__)
def test_it_is_registered_under_its_name(name):
    registered = keras.saving.get_registered_name(getattr(layers, name))
    assert registered == f"keras_vtr>{name}"
