"""From a folder of class folders to a served answer."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vtr.command_line.fitting import Fitting
from keras_vtr.command_line.main import main

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = ["--epochs", "2", "--batch-size", "8", "--image-sides", "24"]


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory):
    """Dark and bright pictures of several sizes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split, number in (("train", 16), ("val", 4)):
        for name, low in (("bright", 155), ("dark", 0)):
            (folder / split / name).mkdir(parents=True)
            for i in range(number):
                shape = (30 + i, 40, 3)
                pixels = rng.integers(low, low + 100, shape).astype("uint8")
                path = folder / split / name / f"{i}.png"
                Image.fromarray(pixels).save(path)
    return folder


@pytest.mark.slow
def test_class_folders_train_a_vit_that_is_served(
    class_folders, tmp_path, capsys
):
    run, found = tmp_path / "run", tmp_path / "found"
    command = [sys.executable, "-m", "tests.eager", "keras_vtr", "train"]
    command += [str(class_folders), "--output", str(run), *OPTIONS]
    subprocess.run(command, cwd=ROOT, check=True)
    header, *epochs = (run / "history.csv").read_text().splitlines()
    assert len(epochs) == 2 and "val_accuracy" in header.split(",")
    assert len(list((run / "pictures").glob("*.png"))) == 2
    # A finished run trains no further, and leaves the same model.
    before = keras.models.load_model(run / "model.keras", compile=False)
    subprocess.run(command, cwd=ROOT, check=True)
    vit = keras.models.load_model(run / "model.keras", compile=False)
    for a, b in zip(before.get_weights(), vit.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert vit.class_names == ("bright", "dark")

    assert main(["evaluate", str(run)]) == 0
    result = json.loads((run / "evaluation.json").read_text())
    assert result["accuracy"] == 1.0
    assert "<h2>Calibration" in (run / "report.html").read_text()
    # Its answer is the best class, whatever its score.
    assert main(["evaluate", str(run), "--thresholds", "best"]) == 1
    picture = str(class_folders / "val" / "dark" / "2.png")
    assert main(["predict", str(run), picture, "--output", str(found)]) == 0
    (rows,) = json.loads((found / "classes.json").read_text()).values()
    assert rows[0]["name"] == "dark" and len(rows) == 2

    assert main(["export", str(run), str(tmp_path / "models")]) == 0
    served = tf.saved_model.load(str(tmp_path / "models" / "1"))
    answer = served.signatures["serving_default"](
        image_bytes=tf.constant([tf.io.read_file(picture).numpy()])
    )
    scores = [row["score"] for row in rows]
    np.testing.assert_allclose(answer["scores"][0], scores, atol=1e-5)
    assert answer["label_names"][0, 0].numpy() == b"dark"
    # Options of a detector.
    for arguments in (
        ["predict", str(run), picture, "--score-threshold", "0.3"],
        ["export", str(run), str(tmp_path / "models"), "--max-detections", "3"],
    ):
        capsys.readouterr()
        assert main(arguments) == 1
        assert "must be left out for classification" in capsys.readouterr().err


def test_a_dry_run_checks_trains_a_step_and_writes_nothing(
    class_folders, tmp_path, capsys
):
    flat = class_folders / "train"  # without a split for validation
    arguments = ["train", str(flat), "--output", str(tmp_path / "run")]
    arguments += [*OPTIONS, "--dry-run"]
    assert main([*arguments, "--num-queries", "7"]) == 1
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "a split by the seed takes val from all" in printed[0]
    assert printed[-1].startswith("One step is trained, its loss is ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-queries", "7"], "--num-queries must be left out"),
        (["--short-sides", "32"], "--short-sides must be left out"),
        (["--use-ema"], "--use-ema must be left out"),
        # 0, which equals False.
        (["--backbone-learning-rate", "0"], "--backbone-learning-rate must be"),
        (["--image-sides", "24", "32"], "must be one number of pixels"),
        (["--image-sides", "0"], "must be one number of pixels"),
    ],
)
def test_a_classifier_refuses_what_is_a_detectors(
    options, message, class_folders, tmp_path, capsys
):
    arguments = ["train", str(class_folders), "--output", str(tmp_path)]
    assert main([*arguments, *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "config.yaml").exists()


def test_a_split_is_written_when_a_training_begins(
    class_folders, tmp_path, capsys, monkeypatch
):
    flat, run = class_folders / "train", tmp_path / "run"
    arguments = ["train", str(flat), "--output", str(run), *OPTIONS]

    def begin(*arguments, **options):
        raise ValueError("begun")

    monkeypatch.setattr(Fitting, "fit", begin)
    for more, reason in (
        (["--image-sides", "0"], "--image-sides"),
        (["--early-stopping", "0"], "`patience`"),
        ([], "begun"),
    ):
        assert not (run / "split.json").exists()
        assert main([*arguments, *more]) == 1
        printed = capsys.readouterr()
        assert f"where {run / 'split.json'} takes val from" in printed.out
        assert reason in printed.err
    assert len(json.loads((run / "split.json").read_text())["val"]) == 5
