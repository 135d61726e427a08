"""Users clone our models, cut them, and put others around them."""

import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_bit_resnet
from keras_vtr.backbones import build_convolution_stem
from keras_vtr.backbones import build_resnet
from keras_vtr.backbones import fold_norms
from keras_vtr.functional_models import as_functional
from keras_vtr.models import DetectionModel
from keras_vtr.models import NamedModel
from keras_vtr.visualization import attention_maps
from keras_vtr.visualization import query_attention
from tests.layer_checks import to_numpy
from tests.tiny_models import color_detr
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

# Of Keras's graphs, which every backend runs.
pytestmark = pytest.mark.any_backend

NAMES = ("a", None, "c")


AROUND = (
    "sequential",
    "layers",
    "functional",
    "twice",
    "dict",
    "list",
    "clone",
)


@pytest.fixture(scope="module")
def vit():
    return tiny_vit(class_names=NAMES)


@pytest.fixture(scope="module")
def images(vit):
    shape = (2, *vit.input_shape[1:])
    return np.random.default_rng(7).uniform(0, 255, shape).astype("float32")


class Subclassed(keras.Model):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def call(self, inputs):
        return self.inside(inputs)


def around(vit):
    """Models that have the ViT within, by name."""
    first = keras.Input(vit.input_shape[1:], name="photo")
    return {
        "sequential": keras.Sequential([first, vit, keras.layers.Softmax()]),
        "layers": keras.Sequential(vit.layers),
        "functional": keras.Model(first, vit(first)),
        "twice": keras.Sequential([first, keras.Sequential([first, vit])]),
        "dict": keras.Model({"photo": first}, vit(first)),
        "list": keras.Model([first], vit(first)),
        "clone": keras.models.clone_model(vit),
    }


@pytest.mark.parametrize("name", AROUND)
def test_attention_is_seen_through_models_around(name, vit, images):
    model = around(vit)[name]
    if name == "clone":
        model.set_weights(vit.get_weights())
    np.testing.assert_allclose(
        attention_maps(model, images), attention_maps(vit, images), atol=1e-6
    )


@pytest.mark.parametrize("name", AROUND)
def test_norms_are_folded_within_models_around(name, vit, images):
    model = around(vit)[name]
    inputs = {"photo": images} if name == "dict" else images
    inputs = [images] if name == "list" else inputs
    np.testing.assert_array_equal(
        to_numpy(fold_norms(model)(inputs)), to_numpy(model(inputs))
    )


def test_queries_are_seen_through_a_model_around():
    detr = tiny_detr()
    first = keras.Input(detr.input_shape[1:])
    images = np.ones((1, *detr.input_shape[1:]), "float32")
    np.testing.assert_allclose(
        query_attention(keras.Sequential([first, detr]), images),
        query_attention(detr, images),
        atol=1e-6,
    )


def test_a_clone_keeps_the_class_names(vit):
    detr = tiny_detr(class_names=NAMES)
    for model, kind in ((detr, DetectionModel), (vit, NamedModel)):
        clone = keras.models.clone_model(model)
        assert type(clone) is kind
        assert clone.class_names == model.class_names is not None


def test_names_need_a_head_that_keeps_them():
    features = keras.Input((5,))
    model = NamedModel(features, keras.layers.Dense(2)(features))
    assert model.class_names is None
    with pytest.raises(ValueError, match="whose logits come from a keras_vtr"):
        model.class_names = ["a", "b"]


def test_what_is_no_graph_is_refused_with_the_way_out(vit, images):
    for model in (None, keras.Sequential(), Subclassed(vit)):
        with pytest.raises(
            ValueError, match=r"Wrap other models: keras\.Model"
        ):
            as_functional(model)
        with pytest.raises(
            ValueError, match=r"Wrap other models: keras\.Model"
        ):
            attention_maps(model, images)


BUILDERS = {
    "stem": lambda: build_convolution_stem((32, 48, 3)),
    "resnet": lambda: build_resnet((32, 48, 3), (1, 1), width=8),
    "bit": lambda: build_bit_resnet((32, 48, 3), (1,), width=32),
    "folded": lambda: fold_norms(build_resnet((32, 48, 3), (1, 1), width=8)),
    "vit": tiny_vit,
    "detr": lambda: color_detr(hidden_dim=16, num_heads=8, masks=True),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_channels_are_last_whatever_keras_is_set_to(name):
    keras.utils.set_random_seed(7)
    usual = BUILDERS[name]()
    keras.config.set_image_data_format("channels_first")
    try:
        keras.utils.set_random_seed(7)
        model = BUILDERS[name]()
        found = model(np.ones((1, *usual.input_shape[1:]), "float32"))
    finally:
        keras.config.set_image_data_format("channels_last")
    expected = usual(np.ones((1, *usual.input_shape[1:]), "float32"))
    for a, b in zip(
        keras.tree.flatten(found), keras.tree.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
