"""Each block of Python on the pages runs, a page from top to bottom.

The code is the page's, unchanged; what it needs is small (`stand_ins.py`).
"""

import ast

import keras
import pytest

from keras_vtr import backbones
from keras_vtr.data import augment
from keras_vtr.data import detection_dataset
from keras_vtr.models.detr import settings
from keras_vtr.models.transformer import transformer
from keras_vtr.models.vit import vit
from keras_vtr.pretrained import files
from keras_vtr.serving import exporter
from tests.docs import stand_ins
from tests.docs.pages import PAGES
from tests.docs.pages import python_blocks
from tests.pretrained import detr_tensors

WITH_SNIPPETS = [page for page in PAGES if any(python_blocks(page))]

pytestmark = [
    pytest.mark.slow,
    # Models so small that a deformable attention has one point.
    pytest.mark.filterwarnings("ignore:.*softmax over axis"),
]


@pytest.fixture(autouse=True)
def in_small(tmp_path, monkeypatch):
    """An empty folder, tiny models and images, and `fit` of one step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "_download", stand_ins.download)
    rows = {
        name: (24, min(row[1], 4), 3, 48) for name, row in vit.SIZES.items()
    }
    monkeypatch.setattr(vit, "SIZES", rows)
    rows = dict.fromkeys(transformer.SIZES, (32, 1, 4, 64, 0.1))
    monkeypatch.setattr(transformer, "SIZES", rows)
    for row in settings.SIZES.values():
        few = min(row["num_encoder_layers"], 1)
        monkeypatch.setitem(row, "num_encoder_layers", few)
        monkeypatch.setitem(row, "num_decoder_layers", 2)
    for function in (detection_dataset, augment):
        sides = {"short_sides": (64,), "crop_short_sides": (64,)}
        sides["crop_range"] = (48, 64)
        for name in sides.keys() & function.__kwdefaults__.keys():
            monkeypatch.setitem(function.__kwdefaults__, name, sides[name])
    monkeypatch.setattr(backbones, "build_resnet", detr_tensors.tiny_resnet)
    monkeypatch.setattr(keras.Model, "fit", one_step_of(keras.Model.fit))
    # What an export is asked for is checked; its graph is tests/serving's.
    monkeypatch.setattr(exporter.Exporter, "_write_saved_model", write_export)
    monkeypatch.setattr(exporter, "write_runtime", lambda path, *_: None)
    # npm may be missing.
    monkeypatch.setattr(exporter, "check_web", lambda config: None)
    monkeypatch.setattr(exporter, "fetch_runtime", dict)
    monkeypatch.setattr(exporter, "write_page", lambda path, files: None)


def one_step_of(fit):
    def one_step(model, *args, **kwargs):
        for name in {"epochs", "steps_per_epoch"} & kwargs.keys():
            assert kwargs[name] >= 1, kwargs
            kwargs[name] = 1
        return fit(model, *args, **kwargs)

    return one_step


def write_export(exporter, path, *_):
    stand_ins.write_saved_model(path)


@pytest.mark.parametrize("page", WITH_SNIPPETS)
def test_a_page_s_snippets_run(page):
    namespace = {}
    for block in python_blocks(page):
        run(block, page, namespace)


def run(block, page, namespace):
    for statement in ast.parse(block, page).body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                stand_ins.write(node.value)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                make = stand_ins.NAMES.get(node.id)
                if make and node.id not in namespace:
                    namespace[node.id] = make()
        module = ast.Module([statement], [])
        exec(compile(module, page, "exec"), namespace)


@pytest.mark.parametrize(
    "block",
    [
        "keras_vtr.pretrained.from_pretrained('folder', num_class=3)",
        "keras_vtr.serving.export_detector(model, 'x', warmup=(1,))",
        "detr.fit(batches, step=3)",
        "print(undefined)",
    ],
)
def test_what_would_fail_fails(block):
    with pytest.raises((TypeError, NameError)):
        run(block, "page", {})
