"""From a local RF-DETR folder to an answered request, by commands alone."""

import json
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from keras_vtr.command_line.main import main
from tests.digit_folder import write_digits
from tests.parity import MARKS
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.rf_detr_models import make_rf_detr

pytestmark = MARKS
ROOT = pathlib.Path(__file__).parents[2]


def train(*arguments):
    """In a process of its own, of which a few steps aren't compiled."""
    command = [sys.executable, "-m", "tests.eager", "keras_vtr", "train"]
    command += [str(x) for x in arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def run(*arguments):
    assert main([str(x) for x in arguments]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rf_detr")
    for name in ("data", "pretrained"):
        (folder / name).mkdir()
    write_digits(folder / "data")
    save(make_rf_detr(num_queries=16), folder / "pretrained")
    return folder


def test_a_folder_is_fine_tuned_evaluated_exported_and_answers(folder):
    output, data = folder / "run", folder / "data"
    crops = ["--crop-short-sides", 64, "--crop-range", 48, 64]
    pretrained = ["--model", folder / "pretrained", "--epochs", 1]
    options = ["--output", output, *pretrained, *crops]
    train(data, *options, "--batch-size", 8, "--no-flips")
    header, row = (output / "history.csv").read_text().splitlines()
    assert "val_AP" in header.split(",") and "group_label_loss" not in header
    model = keras.models.load_model(output / "model.keras", compile=False)
    assert not any("group" in x.path for x in model.weights)
    assert model.class_names[3] == "a 3"
    run("evaluate", output)
    assert "AP50" in json.loads((output / "evaluation.json").read_text())
    picture = data / "val" / "0.png"
    found = folder / "found"
    threshold = ["--score-threshold", 0]
    run("predict", output, picture, "--output", found, *threshold)
    (rows,) = json.loads((found / "detections.json").read_text()).values()
    run("export", output, folder / "served")
    served = tf.saved_model.load(str(folder / "served" / "1"))
    answer = served.signatures["serving_default"](
        image_bytes=tf.constant([picture.read_bytes()])
    )
    assert answer["ok"].numpy().tolist() == [1]
    scores = answer["scores"].numpy()[0]
    for row, score in zip(rows[:5], scores[:5], strict=True):
        assert row["score"] == pytest.approx(float(score), abs=1e-4)


def test_each_batch_may_have_another_size(folder):
    output = folder / "jitter"
    data = folder / "data"
    train(
        *(data, "--output", output, "--no-flips"),
        *("--model", folder / "pretrained", "--epochs", 1),
        *("--crop-short-sides", 64, "--crop-range", 48, 64),
        *("--batch-size", 8, "--image-sides", 64, 48, 80),
    )
    model = keras.models.load_model(output / "model.keras", compile=False)
    assert model.input_shape == (None, None, None, 3)
    picture = data / "val" / "0.png"
    run("predict", output, picture, "--output", folder / "jitter_found")
    run("export", output, folder / "jitter_served")
