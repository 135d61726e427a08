"""ResNets without a model around them, from tensors and config.json."""

import json
import re

import keras
import numpy as np
import pytest

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.pretrained.detr_tensors import resnet_tensors
from tests.pretrained.detr_tensors import save
from tests.pretrained.detr_tensors import tiny_resnet

TO_TRANSFORMERS = (
    (r"layer(\d)\.(\d)\.", lambda x: f"stages.{int(x[1]) - 1}.layers.{x[2]}."),
    (r"^stages", "encoder.stages"),
    (r"\.conv(\d)", lambda x: f".layer.{int(x[1]) - 1}.convolution"),
    (r"\.bn(\d)", lambda x: f".layer.{int(x[1]) - 1}.normalization"),
    (r"downsample\.0", "shortcut.convolution"),
    (r"downsample\.1", "shortcut.normalization"),
    (r"^conv1", "embedder.embedder.convolution"),
    (r"^bn1", "embedder.embedder.normalization"),
)


def in_transformers_names(tensors):
    found = {}
    for name, value in tensors.items():
        for theirs, ours in TO_TRANSFORMERS:
            name = re.sub(theirs, ours, name)
        found[name] = value
    return found


BLOCKS = pytest.mark.parametrize("block", ["bottleneck", "basic"])


@BLOCKS
def test_a_resnet_alone_becomes_a_backbone(block, rng, tmp_path):
    head = {"fc.weight": np.ones((9, 256), "float32")}
    path = save(resnet_tensors(rng, block=block) | head, tmp_path)
    resnet = from_pretrained(path, verbose=False)
    again = tiny_resnet(block=block)
    report = load_weights(again, path)
    assert report.unexpected == ("fc.weight",)
    image = np.ones((1, 32, 32, 3), "float32")
    for a, b in zip(resnet(image), again(image), strict=True):
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(x) for x in (a, b))
        )
    with pytest.raises(PretrainedError, match="`num_classes` must be None"):
        from_pretrained(path, num_classes=3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "resnetaa50"}, "`architecture` must be a plain ResN"),
        ({"architecture": "resnetblur50.bt_in1k"}, "Received: architecture="),
        ({"architecture": 3}, "`architecture` must be a plain ResNet"),
        ({"architecture": "resnetblur18"}, "`architecture` must be a plain Re"),
        ({"model_args": {"aa_layer": "avg"}}, r"`model_args\.aa_layer`='avg'"),
        ({"model_args": {"output_stride": 8}}, "`model_args.output_stride` mu"),
        ({"model_type": "timm_wrapper", "what": 1}, "`what`=1"),
    ],
)
def test_another_resnet_with_the_same_tensors_is_refused(
    config, message, rng, tmp_path
):
    path = save(resnet_tensors(rng), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PretrainedError, match=message):
        load_weights(tiny_resnet(), path)


def test_a_resnet_s_architecture_is_assumed_and_reported(rng, tmp_path):
    path = save(resnet_tensors(rng), tmp_path)
    report = load_weights(tiny_resnet(), path)
    assert "assumed a plain ResNet, not timm's resnetaa50" in report.remarks[0]
    for name in ("resnet50", "resnet18.fb_swsl_ig1b_ft_in1k", "tv_resnet34"):
        config = {
            "architecture": name,
            "num_classes": 9,
            "pretrained_cfg": {"tag": "a1_in1k"},
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert load_weights(tiny_resnet(), path).remarks == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"downsample_in_bottleneck": True}, "`downsample_in_bottleneck` must"),
        ({"hidden_act": "gelu"}, "`hidden_act` must be 'relu'"),
        ({"hidden_sizes": [8, 8, 8, 8]}, r"`hidden_sizes` must be \[32, 64,"),
        ({"num_channels": 1}, "`num_channels` must be 3"),
        ({"stem_type": "deep"}, "`stem_type`='deep'"),
    ],
)
def test_a_resnet_of_transformers_is_read_key_by_key(
    change, message, rng, tmp_path
):
    path = save(in_transformers_names(resnet_tensors(rng)), tmp_path)
    config = {
        "model_type": "resnet",
        "architectures": ["ResNetModel"],
        "embedding_size": 8,
        "hidden_sizes": [32, 64, 128, 256],
        "depths": [1, 1, 1, 1],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = load_weights(tiny_resnet(), path)
    assert report.unexpected == report.remarks == ()
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(PretrainedError, match=message):
        load_weights(tiny_resnet(), path)


def test_a_resnet_of_basic_blocks_has_its_layer_type_and_widths(rng, tmp_path):
    tensors = resnet_tensors(rng, block="basic")
    path = save(in_transformers_names(tensors), tmp_path)
    config = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "layer_type": "basic",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = from_pretrained(path, verbose=False)
    again = tiny_resnet(block="basic")
    assert load_weights(again, path).unexpected == ()
    names = [weight.path for weight in again.weights]
    assert [weight.path for weight in found.weights] == names
    config["layer_type"] = "bottleneck"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PretrainedError, match="`layer_type` must be 'basic'"):
        load_weights(again, path)
    with pytest.raises(PretrainedError):
        load_weights(tiny_resnet(), path)
