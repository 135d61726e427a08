"""What the report of a loading says: licenses, and names in short."""

import json

import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.models import build_vit
from keras_vtr.pretrained import LoadReport
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.pretrained import family_names
from tests.pretrained import golden_weights

CASE = json.loads(str(np.load(golden_weights.GOLDEN / "timm.npz")["cases"]))[
    "vit"
]
TINY = {
    "image_shape": (64, 64, 3),
    "hidden_dim": 24,
    "num_layers": 2,
    "num_heads": 3,
    "mlp_dim": 96,
}


@pytest.fixture
def folder(tmp_path):
    return golden_weights.write(tmp_path, **CASE)


def license_of(folder):
    return load_weights(build_vit(5, **TINY), folder).license


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("---\nlicense: apache-2.0\ntags:\n- vision\n---\n# ViT", "apache-2.0"),
        ('---\ntags: x\nlicense: "mit"\n---\n', "mit"),
        ("---\nlicense:\n- mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: dinov3\n---\n", "dinov3"),
        ("---\ntags: vision\n---\nlicense: apache-2.0\n", None),
        ("license: apache-2.0", None),
        ("", None),
    ],
)
def test_the_page_of_a_folder_names_the_license(folder, page, expected):
    (folder / "README.md").write_text(page)
    name = expected and f"{expected} (README.md)"
    assert license_of(folder) == name


def test_the_file_or_the_configuration_names_the_license(folder, capsys):
    assert license_of(folder) is None
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["pretrained_cfg"]["license"] = "cc-by-nc-4.0"
    path.write_text(json.dumps(config))
    assert license_of(folder) == "cc-by-nc-4.0 (config.json)"
    path = folder / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(weights, path, metadata={"license": "mit"})
    from_pretrained(folder)
    printed = capsys.readouterr().out
    assert "  License: mit (model.safetensors).\n" in printed + "\n"


def test_dinov3_has_its_own_license(tmp_path, capsys):
    case = family_names.stored()["DINOv3"]
    golden_weights.write(tmp_path, case["shapes"], case["config"])
    from_pretrained(tmp_path)
    printed = capsys.readouterr().out
    assert "License: DINOv3 License." in printed
    assert "The DINOv3 License travels along with these weights" in printed


def test_many_names_that_begin_alike_are_counted():
    many = tuple(f"text_model.layers.{i}.weight" for i in range(12))
    report = LoadReport("x", ("a",), (), (*many, "head.bias"), ())
    assert "Left in the file: text_model.* (12), head.bias." in str(report)
