"""Configuration files are read key by key; other types are refused."""

import json
import pathlib

import numpy as np
import pytest

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import name_map
from keras_vtr.pretrained.configuration import REQUIRED
from keras_vtr.pretrained.configuration import Configuration
from keras_vtr.pretrained.transformers_keys import read_class_names
from keras_vtr.pretrained.transformers_keys import read_common_keys
from tests.pretrained import golden_weights

PLACE = pathlib.Path("folder/config.json")


def configuration(**content):
    return Configuration(content, PLACE)


def preprocessed(**content):
    place = pathlib.Path("folder/preprocessor_config.json")
    return Configuration({}, PLACE, preprocessor=Configuration(content, place))


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        ("flag", False, False),
        ("integer", 3.0, 3),
        ("number", 1e-6, 1e-6),
        ("numbers", 0.5, 0.5),
        ("numbers", [0.5, 1], (0.5, 1)),
        ("sides", 64, (64, 64)),
        ("sides", [32, 128.0], (32, 128)),
        ("sides", [3, 32, 128], (32, 128)),
        ("sides", {"height": 32, "width": 128}, (32, 128)),
        ("sides", None, None),
        ("integer", None, None),
    ],
)
def test_a_value_of_its_type_is_read(reader, value, expected):
    config = configuration(key=value)
    assert getattr(config, reader)("key") == expected
    config.finish()


@pytest.mark.parametrize(
    ("reader", "value", "message"),
    [
        ("flag", "true", "must be true or false. Received: key='true'"),
        ("flag", 1, "must be true or false"),
        ("integer", "12", "must be a whole number, 1 or more"),
        ("integer", 0, "must be a whole number, 1 or more"),
        ("integer", True, "must be a whole number, 1 or more"),
        ("integer", 2.5, "must be a whole number"),
        ("number", float("nan"), "must be a number"),
        ("number", [1e-6], "must be a number"),
        ("numbers", [0.5, "0.5"], "must be a number.*or a list"),
        ("numbers", [], "must be a number.*or a list"),
        ("sides", [32], r"one whole number or \[height, width\]"),
        ("sides", {"shortest_edge": 32}, "one whole number or"),
        ("sides", "64", "one whole number or"),
        ("part", [1], "must be a dict"),
    ],
)
def test_a_value_of_another_type_is_named(reader, value, message):
    with pytest.raises(PretrainedError, match=message) as caught:
        getattr(configuration(key=value), reader)("key")
    assert str(caught.value).startswith("folder/config.json: `key` must be")


def test_a_choice_is_translated_to_our_word():
    ours = {"gelu": "gelu", "gelu_new": "gelu_tanh"}
    config = configuration(act="gelu_new", kind="swin", other=["gelu"])
    assert config.choice("act", ours) == "gelu_tanh"
    assert config.choice("absent", ours, "gelu_new") == "gelu_tanh"
    with pytest.raises(PretrainedError, match=r"one of \['deit', 'vit'\]. Rec"):
        config.choice("kind", ["vit", "deit"])
    with pytest.raises(PretrainedError, match=r"Received: other=\['gelu'\]"):
        config.choice("other", ours)


def test_a_missing_required_key_is_refused():
    with pytest.raises(PretrainedError, match=r"config.json lacks `num_heads`"):
        configuration(depth=3).integer("num_heads", REQUIRED)
    with pytest.raises(PretrainedError, match="is missing, or lacks `depth`"):
        configuration().integer("depth", REQUIRED)


def test_a_key_that_nobody_reads_is_refused_with_its_place():
    config = configuration(depth=3, rope=True, inside={"stride": 8, "a": 1})
    config.integer("depth")
    with pytest.raises(PretrainedError, match=r"may change.*`rope`=True"):
        config.finish()
    config.ignore(["rope"])
    config.part("inside").integer("a")
    with pytest.raises(
        PretrainedError,
        match=r"folder/config.json.*`inside.stride`=8. Keys that don't change "
        "it can be removed",
    ):
        config.finish()
    config.part("inside").expect({"stride": (8, 16)})
    config.finish()


def test_a_key_with_an_empty_value_is_ignored():
    configuration(a=None, b="", c=[], d={}).finish()
    with pytest.raises(PretrainedError, match="`a`=0, `b`=False"):
        configuration(a=0, b=False).finish()


def test_other_values_than_expected_are_refused():
    config = configuration(stride=True, act="gelu")
    with pytest.raises(PretrainedError, match="`act` must be 'relu', which is"):
        config.expect({"act": ("relu",)})
    with pytest.raises(PretrainedError, match="must be 1 or 2"):
        config.expect({"stride": (1, 2)})
    config.expect({"padding": ("same",)})
    with pytest.raises(PretrainedError, match="lacks `padding`"):
        config.expect({"padding": ("same",)}, REQUIRED)


def test_common_keys_of_transformers_are_ignored():
    config = preprocessed(do_resize=True, size={"height": 224, "width": 224})
    read_common_keys(config)
    config.finish()
    config = configuration(_name_or_path="x", dtype="float32", use_cache=True)
    read_common_keys(config)
    config.finish()
    config = preprocessed(do_flip_channel_order=True)
    with pytest.raises(PretrainedError, match="`do_flip_channel_order` must"):
        read_common_keys(config)


@pytest.mark.parametrize(
    ("content", "mean", "std", "remark"),
    [
        ({"image_mean": [0.5], "image_std": [0.25]}, (127.5,), (63.75,), ""),
        ({"image_mean": 0.5, "image_std": 0.25}, 127.5, 63.75, ""),
        ({"do_normalize": False}, 0.0, 255.0, ""),
        ({"do_normalize": False, "rescale_factor": 0.5}, 0.0, 2.0, ""),
        (
            {"do_rescale": False, "image_mean": 0.5, "image_std": 0.5},
            0.5,
            0.5,
            "do_rescale=false",
        ),
        (
            {"do_rescale": False, "do_normalize": False},
            0.0,
            1.0,
            "do_rescale=false",
        ),
        ({}, 3.0, 4.0, "assumed pixel_mean=3.0"),
    ],
)
def test_pixels_are_normalized_as_in_their_file(content, mean, std, remark):
    config = preprocessed(**content)
    arguments, remarks, is_known = name_map.pixels(config, 3.0, 4.0)
    assert arguments == {"pixel_mean": mean, "pixel_std": std}
    assert is_known == bool(content)
    assert bool(remark) == bool(remarks) and remark in "".join(remarks)
    config.finish()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"image_mean": 0.5}, "lacks `image_std`"),
        ({"image_mean": "0.5", "image_std": 1}, "`image_mean` must be"),
        ({"image_mean": 0.5, "image_std": [1, 0]}, "a number above 0"),
        ({"rescale_factor": 0}, "`rescale_factor` must be a number above 0"),
        ({"do_rescale": "false"}, "`do_rescale` must be true or false"),
    ],
)
def test_wrong_values_about_pixels_are_refused(content, message):
    with pytest.raises(PretrainedError, match=message):
        name_map.pixels(preprocessed(**content), 3.0, 4.0)


@pytest.mark.parametrize(
    ("id2label", "names"),
    [
        ({"0": "cat", "1": "N/A", "2": "dog"}, ("cat", None, "dog")),
        ({"2": "dog"}, (None, None, "dog")),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, None),
        (None, None),
    ],
)
def test_class_names_are_read(id2label, names):
    assert read_class_names(configuration(id2label=id2label), 3) == names
    assert read_class_names(configuration(id2label=id2label), 0) is None


@pytest.mark.parametrize("id2label", [["cat"], {"3": "cat"}, {"0": 1}])
def test_class_names_are_a_dict_by_class(id2label):
    with pytest.raises(PretrainedError, match="`id2label` must be a dict from"):
        read_class_names(configuration(id2label=id2label), 3)


def test_a_vit_of_transformers_has_its_class_names(tmp_path):
    golden = np.load(golden_weights.GOLDEN / "vit_hybrid.npz")
    shapes, config = (json.loads(str(golden[k])) for k in ("shapes", "config"))
    num_classes = shapes["classifier.weight"][0]
    config["id2label"] = {str(i): f"class {i}" for i in range(num_classes)}
    golden_weights.write(tmp_path, shapes, config)
    names = from_pretrained(tmp_path, verbose=False).class_names
    assert names == tuple(config["id2label"].values())
    new = from_pretrained(tmp_path, num_classes=2, verbose=False)
    assert new.class_names is None
