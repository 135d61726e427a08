import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_vtr.callbacks.checkpoint_files import best_checkpoint
from keras_vtr.callbacks.checkpoint_files import load_state
from keras_vtr.command_line.main import main
from keras_vtr.command_line.main import parse
from keras_vtr.command_line.tasks.detection import Detection
from keras_vtr.optimizers import averaged_weights
from tests.digit_folder import SMALL
from tests.pretrained import golden_weights

ROOT = pathlib.Path(__file__).parents[2]


def arguments_of_training(folder, output):
    config = folder / "small.yaml"
    return ["train", str(folder), "--output", str(output), f"--config={config}"]


def training(folder, output):
    """A run of six steps, which are not worth compiling them."""
    command = [sys.executable, "-m", "tests.eager", "keras_vtr"]
    return command + arguments_of_training(folder, output)


def stop_at(number, signal_number, run, output):
    """Starts a run and stops it after its n-th checkpoint, or lets it end."""
    process = subprocess.Popen(
        run, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wanted = output / "checkpoints" / f"step-{number:09d}"
    while process.poll() is None and not wanted.exists():
        time.sleep(0.01)
    process.send_signal(signal_number)
    process.communicate()
    return process.returncode


@pytest.mark.slow
def test_from_a_folder_to_a_savedmodel_with_a_kill_on_the_way(
    folder, tmp_path, capsys
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(training(folder, whole), cwd=ROOT, check=True)
    run = training(folder, killed)
    assert stop_at(1, signal.SIGKILL, run, killed) == -signal.SIGKILL
    assert stop_at(4, signal.SIGTERM, run, killed) == 0
    assert not (killed / "model.keras").exists()
    assert main(["evaluate", str(killed)]) == 1
    subprocess.run(run, cwd=ROOT, check=True)
    one, other = (
        keras.models.load_model(x / "model.keras", compile=False)
        for x in (whole, killed)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    epochs = (killed / "history.csv").read_text().splitlines()
    assert len(epochs) == 3 and "val_AP" in epochs[0]
    assert epochs == (whole / "history.csv").read_text().splitlines()
    assert len(list((killed / "pictures").glob("*.png"))) == 2

    assert main(["evaluate", str(killed)]) == 0
    assert "AP50" in json.loads((killed / "evaluation.json").read_text())
    assert "<h2>Thresholds" in (killed / "report.html").read_text()
    assert not (killed / "thresholds.json").exists()
    check_predict(folder, killed, tmp_path)
    check_broken_picture(folder, killed, tmp_path, capsys)
    check_thresholds(folder, killed, tmp_path, capsys)


@pytest.mark.slow
def test_masks_are_learned_evaluated_and_found(folder, tmp_path):
    run, output = tmp_path / "run", tmp_path / "found"
    command = [*training(folder, run), "--masks", "--epochs", "1"]
    subprocess.run(command, cwd=ROOT, check=True)
    header, _ = (run / "history.csv").read_text().splitlines()
    for name in ("val_mask_AP", "val_AP", "dice_loss", "mask_loss"):
        assert name in header.split(",")
    assert main(["evaluate", str(run)]) == 0
    numbers = json.loads((run / "evaluation.json").read_text())
    assert {"mask_AP50", "AP50"} < {*numbers} & {*numbers["classes"][0]}
    picture = str(folder / "val" / "0.png")
    arguments = ["predict", str(run), picture, "--output", str(output)]
    assert main([*arguments, "--score-threshold", "0"]) == 0
    (found,) = json.loads((output / "detections.json").read_text()).values()
    mask = found[0]["segmentation"]
    assert mask["size"] == [64, 64] and isinstance(mask["counts"], str)
    assert main(["export", str(run), str(tmp_path / "models")]) == 0
    graph = tmp_path / "models" / "1" / "saved_model.pb"
    assert b"mask_bytes" in graph.read_bytes()
    assert (
        main(["inspect", str(folder), "--masks", "--output", str(output)]) < 2
    )
    assert (output / "val_boxes.png").exists()


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("mixed_float16", marks=pytest.mark.slow),
        pytest.param("mixed_bfloat16", marks=pytest.mark.long),
    ],
)
def test_averages_are_what_is_left(precision, folder, tmp_path):
    run = tmp_path / "run"
    command = training(folder, run)
    command += ["--use-ema", "--gradient-accumulation-steps", "2"]
    command += ["--precision", precision]
    subprocess.run(command, cwd=ROOT, check=True)
    # Keras 3.15.1 scales losses by the policy of the process, not the model's.
    keras.config.set_dtype_policy(precision)
    try:
        model = keras.models.load_model(run / "model.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("encoder").dtype_policy.name == precision
    left = model.get_weights()
    with averaged_weights(model):
        for a, b in zip(left, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    path, _ = best_checkpoint(run / "checkpoints")
    load_state(path, model, ("model",))
    pairs = zip(left, model.get_weights(), strict=True)
    assert any((a != b).any() for a, b in pairs)
    assert main(["evaluate", str(run)]) == 0


def check_broken_picture(folder, run, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "broken")
    (tmp_path / "broken" / "val" / "3.png").write_bytes(b"x")
    capsys.readouterr()
    arguments = ["evaluate", str(run), "--folder", str(tmp_path / "broken")]
    assert main(arguments) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("keras-vtr: ") and "3.png can't be trained" in last


def check_thresholds(folder, run, tmp_path, capsys):
    """They are written, used, overridden, and refused for other classes."""
    output = tmp_path / "elsewhere"
    arguments = ["--thresholds", "best", "--output", str(output)]
    assert main(["evaluate", str(run), *arguments]) == 0
    assert (output / "report.html").exists()
    path = run / "thresholds.json"
    thresholds = json.loads(path.read_text())
    assert [*thresholds] == [f"a {i}" for i in range(10)]
    predict = ["predict", str(run), str(folder / "val" / "0.png")]
    predict += ["--output", str(tmp_path / "found")]
    # What no threshold keeps, unless another one is given.
    path.write_text(json.dumps(dict.fromkeys(thresholds, 1.0)))
    for more, number in (
        ([], 0),
        (["--score-threshold", "0"], SMALL["num_queries"]),
    ):
        capsys.readouterr()
        assert main([*predict, *more]) == 0
        assert (str(path) in capsys.readouterr().out) == (not more)
        found = json.loads((tmp_path / "found" / "detections.json").read_text())
        assert [len(rows) for rows in found.values()] == [number]
    models = tmp_path / "models"
    assert main(["export", str(run), str(models)]) == 0
    config = json.loads((models / "1" / "assets" / "config.json").read_text())
    assert config["score_threshold"] == dict.fromkeys(thresholds, 1.0)
    path.write_text(json.dumps({**thresholds, "a cow": 0.5}))
    for command in (predict, ["export", str(run), str(models)]):
        assert main(command) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert "no class 'a cow'" in last and str(path) in last
        assert "--thresholds best" in last
    assert not (models / "2").exists()
    path.unlink()


def check_predict(folder, run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    output = tmp_path / "found"
    good = str(folder / "val" / "0.png")
    arguments = ["predict", str(run), "--output", str(output)]
    arguments += ["--score-threshold", "0", good]
    assert main(arguments) == 0
    (found,) = json.loads((output / "detections.json").read_text()).values()
    assert len(found) == SMALL["num_queries"]
    assert found[0]["name"].startswith("a ")
    assert main([*arguments, "--tiles", "32", "--tile-overlap", "0.5"]) == 0
    (found,) = json.loads((output / "detections.json").read_text()).values()
    assert len(found) > SMALL["num_queries"]
    assert main([*arguments, "--tiles", "0"]) == 1
    assert main([*arguments, str(tmp_path / "bad.png")]) == 1


def test_other_options_are_refused_before_anything_is_done(
    folder, tmp_path, capsys
):
    arguments = arguments_of_training(folder, tmp_path)
    config = {"folder": str(folder.resolve()), **SMALL}
    config |= {"model": "small", "seed": 5, "skip_broken": False}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(arguments) == 1
    assert "seed: 5, now 0" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["config.yaml"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--num-queries", "0"),
        ("--save-every", "0"),
        ("--learning-rate", "-1"),
        ("--gradient-accumulation-steps", "1"),
        ("--early-stopping", "0"),
        ("--repeat-rare", "2"),
    ],
)
def test_a_run_does_not_begin_with_an_option_out_of_range(
    option, value, folder, tmp_path, capsys
):
    arguments = ["train", str(folder), "--output", str(tmp_path)]
    assert main([*arguments, option, value]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("keras-vtr: ") and f"={value}" in last
    assert not (tmp_path / "config.yaml").exists()


def test_a_backbone_with_the_rate_0_is_frozen(folder, tmp_path):
    arguments = arguments_of_training(folder, tmp_path)
    options = parse([*arguments, "--backbone-learning-rate", "0"])
    task = Detection(options)
    model = task.compile(task.build(("a", "b")), steps=1)
    (backbone,) = (x for x in model.layers if isinstance(x, keras.Model))
    assert backbone.weights and not backbone.trainable_variables
    others = {x.path.split("/")[0] for x in model.trainable_variables}
    assert {"input_projection", "encoder", "decoder", "class_head"} <= others


def test_masks_are_refused_for_a_model_that_has_none(folder, tmp_path, capsys):
    pretrained, run = tmp_path / "yolos", tmp_path / "run"
    pretrained.mkdir()
    golden_weights.write_tiny_yolos(pretrained)
    arguments = [*arguments_of_training(folder, run), "--model"]
    assert main([*arguments, str(pretrained), "--masks"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "--masks must be left out with this model" in last
    assert last.endswith(f"--model {pretrained} (Hugging Face YOLOS)")
    assert not run.exists()


def test_the_command_line_counts_more_than_the_file(folder, tmp_path):
    arguments = arguments_of_training(folder, tmp_path)
    options = parse([*arguments, "--epochs", "7"])
    assert options["epochs"] == 7
    assert options["batch_size"] == SMALL["batch_size"]
    assert options["seed"] == 0 and options["crop_range"] == [48, 64]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", r"Received: {'epoch'}"),
        ("epochs: many", "epochs='many' is not of its type"),
        ("short_sides: 40", "short_sides=40 is not of its type"),
        ("no_flips: 1", "no_flips=1 is not of its type"),
        ("epochs: true", "epochs=True is not of its type"),
        ("epochs:", "epochs=None is not of its type"),
        ("model: 3", "model=3 is not of its type"),
        ("precision: float8", "precision='float8' must be one of"),
        ("learning_rate: fast", "learning_rate='fast' is not of its type"),
        ("[1, 2]", "must hold options by name"),
        ("{", "can't be read"),
    ],
)
def test_a_wrong_file_of_options_ends_with_2(text, message, tmp_path, capsys):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    arguments = ["train", "x", "--output", "y", "--config", str(path)]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_errors_end_with_1_and_one_line(tmp_path, capsys):
    for arguments, message in (
        (["evaluate", str(tmp_path)], "is not the --output of"),
        (
            ["train", str(tmp_path), "--output", str(tmp_path)],
            "annotations in one",
        ),
    ):
        assert main(arguments) == 1
        errors = capsys.readouterr().err
        assert message in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    "name", ["train", "evaluate", "predict", "export", "serve"]
)
def test_help_is_there(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert "--config" in capsys.readouterr().out


def test_a_learning_rate_in_a_file_is_written_as_on_the_command_line(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("learning_rate: 1e-4\nepochs: 3")
    options = parse(["train", "x", "--output", "y", "--config", str(path)])
    assert (options["learning_rate"], options["epochs"]) == (1e-4, 3)


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (KeyboardInterrupt(), 130, "keras-vtr: stopped"),
        (ValueError("--epochs is 0"), 1, "keras-vtr: --epochs is 0"),
        (
            tf.errors.ResourceExhaustedError(
                None,
                None,
                "Graph execution error:\n\nDetected at node x\n\nno memory\n"
                "\t [[{{node x}}]]\nHint [Op:y]",
            ),
            1,
            "keras-vtr: no memory",
        ),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "evaluate"])
def test_an_error_ends_with_its_reason(
    command, error, code, last, monkeypatch, capsys
):
    def fail(**options):
        raise error

    monkeypatch.setattr("keras_vtr.command_line.inspect.run", fail)
    monkeypatch.setattr("keras_vtr.command_line.evaluate.run", fail)
    assert main([command, "folder"]) == code
    assert capsys.readouterr().err.splitlines() == [last]


def test_a_training_does_not_begin_with_fewer_queries_than_boxes(
    folder, tmp_path, capsys
):
    arguments = arguments_of_training(folder, tmp_path)
    assert main([*arguments, "--num-queries", "1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "boxes, more than 1 queries. Give --num-queries" in last
    assert not (tmp_path / "config.yaml").exists()
