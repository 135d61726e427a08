"""Each family recognizes its own files alone; lookalikes are refused."""

import json

import numpy as np
import pytest

from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import families
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained.files import _shared_prefix
from tests.pretrained import detr_tensors
from tests.pretrained import family_names
from tests.pretrained import golden_weights

STORED = family_names.stored()
BUILT_IN = {
    family.__name__.removeprefix("keras_vtr.pretrained."): family
    for family in families.FAMILIES
    if family.__name__.startswith("keras_vtr.")
}


def short(name):
    """ "vit.hugging_face" and "detr.names": what tells them apart."""
    return name.removeprefix("vit.").removesuffix(".names")


def names_of_every_family():
    """Case, family and shapes."""
    for case, (family, *_) in family_names.MODELS.items():
        for key in ("shapes", "in_memory"):
            yield f"{case}, {key}", family.split()[0], STORED[case][key]
    timm = np.load(golden_weights.GOLDEN / "timm.npz")
    for case, content in json.loads(str(timm["cases"])).items():
        family = "google" if case.startswith("google") else "timm"
        yield case, family, content["shapes"]
    hybrid = np.load(golden_weights.GOLDEN / "vit_hybrid.npz")
    yield "hybrid", "hugging_face", json.loads(str(hybrid["shapes"]))
    rng = np.random.default_rng(0)
    for masks in (False, True):
        tensors = detr_tensors.authors_tensors(rng, masks=masks)
        yield f"DETR's authors, {masks}", "detr", tensors
    yield "torchvision", "resnet", detr_tensors.resnet_tensors(rng)


CASES = list(names_of_every_family())


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("family", "shapes"), [x[1:] for x in CASES], ids=[x[0] for x in CASES]
)
def test_exactly_one_family_recognizes_a_file(family, shapes):
    shapes = {name: tuple(getattr(x, "shape", x)) for name, x in shapes.items()}
    prefix = _shared_prefix(shapes)
    shapes = {name.removeprefix(prefix): x for name, x in shapes.items()}
    found = [short(k) for k, x in BUILT_IN.items() if x.recognize(shapes)]
    assert found == [family]


def test_every_family_has_a_file():
    assert {short(name) for name in BUILT_IN} == {x[1] for x in CASES}


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("BEiT", "BEiT has a table of relative positions"),
        ("MAE", r"model_type='vit_mae'. MAE \(ViTMAE\) reads a random quarter"),
        ("MAE with decoder", r"MAE \(ViTMAE\) reads a random quarter"),
        ("MSN", r"model_type='vit_msn'. MSN \(ViTMSN\) is another training"),
        ("I-JEPA", "model_type='ijepa'. I-JEPA has no class token"),
        ("SigLIP 2 NaFlex", "load a SigLIP 2 of fixed size"),
        ("MetaCLIP 2", "model_type='metaclip_2'. MetaCLIP 2 has CLIP's names"),
        ("EoMT of DINOv3", "model_type='eomt_dinov3'"),
        ("LW-DETR", "holds an LW-DETR, whose names are nearly RF-DETR's"),
    ],
)
def test_lookalikes_are_refused_by_name(case, message, tmp_path):
    shapes, config = (STORED[case][key] for key in ("shapes", "config"))
    golden_weights.write(tmp_path, shapes, config)
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(tmp_path)


@pytest.mark.any_backend
def test_the_tensor_that_the_named_model_lacks_is_named(tmp_path):
    shapes, config = (STORED["ViT"][key] for key in ("shapes", "config"))
    golden_weights.write(tmp_path, {**shapes, "vit.extra": [2]}, config)
    with pytest.raises(
        PretrainedError,
        match="config.json says model_type='vit', which has no tensor "
        r"'vit\.extra'\. Known are",
    ):
        from_pretrained(tmp_path)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("case", family_names.MODELS)
def test_the_stored_names_are_those_of_transformers(case):
    pytest.importorskip("transformers")
    live = family_names.live(case)
    for key in ("shapes", "in_memory"):
        assert live[key] == STORED[case][key]
