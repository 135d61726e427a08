"""The programs under examples/, each shortened; `pytest -m examples`."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.pretrained import golden_weights

pytestmark = pytest.mark.examples

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
CLAIMS = (
    "positions",
    "hybrid",
    "pooling",
    "detr_parts",
    "no_suppression",
    "no_object",
    "cost",
)
PROGRAMS = {
    "build_by_hand": (),
    "train_detr": ("--steps", 10, "--output", "new"),
    "train_masks": ("--steps", 10, "--output", "new"),
    "train_vit": ("--epochs", 1),
    "translate_numbers": ("--epochs", 1),
    "read_digits": ("--epochs", 1),
    "yolos": ("--steps", 10),
    "loggers": (),
    "claims/fast_detr": ("--short",),
}
# A few steps each, which are not worth compiling them.
OF_FEW_STEPS = {
    "finetune_detr": ("scratch", "--scenes", 64, "--epochs", 1),
    "finetune_masks": (
        *("scratch", "--scenes", 64, "--box-epochs", 1, "--mask-epochs", 1),
    ),
    **{f"claims/{name}": ("--short",) for name in CLAIMS},
}
# Run by the last tests and test_tutorial.py, and parts of the claims.
OTHERS = {
    "write_scenes",
    "tutorial",
    "own_augmentation",
    "finetune_vit",
    "data_sources",
    "drawn_sources",
    "claims/anchor_head",
    "claims/digit_detr",
    "claims/digit_vit",
    "claims/experiment",
    "claims/suppression",
}


def run(folder, *command):
    """Runs Python in an empty folder; returns what it printed."""
    finished = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_every_program_is_run():
    found = {
        path.relative_to(EXAMPLES).with_suffix("").as_posix()
        for pattern in ("*.py", "claims/*.py")
        for path in EXAMPLES.glob(pattern)
    }
    assert found == PROGRAMS.keys() | OF_FEW_STEPS.keys() | OTHERS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(name, tmp_path):
    assert run(tmp_path, EXAMPLES / f"{name}.py", *PROGRAMS[name])


@pytest.mark.parametrize("name", OF_FEW_STEPS)
def test_a_program_of_few_steps_runs(name, tmp_path):
    program = EXAMPLES / f"{name}.py"
    assert run(tmp_path, "-m", "tests.eager", program, *OF_FEW_STEPS[name])


def test_pretrained_weights_are_fine_tuned(tmp_path):
    golden_weights.write_tiny_vit(tmp_path)
    program = ("-m", "tests.eager", EXAMPLES / "finetune_vit.py")
    assert run(tmp_path, *program, tmp_path, "--epochs", 1)
    program = ("-m", "tests.eager", EXAMPLES / "finetune_detr.py")
    few = ("--scenes", 32, "--epochs", 1)
    assert run(tmp_path, *program, tmp_path, "--vit", *few)
    (tmp_path / "rf_detr").mkdir()
    golden_weights.write_tiny_rf_detr(tmp_path / "rf_detr")
    few = ("--scenes", 16, "--epochs", 1)
    assert run(tmp_path, *program, "rf_detr", "--rf-detr", *few)


def test_scenes_can_be_inspected_and_trained_on(tmp_path):
    """`tests/command_line` goes on from there to a served answer."""
    run(tmp_path, EXAMPLES / "write_scenes.py", "scenes", "--scenes", 16)
    program = EXAMPLES / "own_augmentation.py"
    assert "albumentations.png: " in run(tmp_path, program, "scenes")
    for command in (
        "inspect scenes --masks --output report",
        "train scenes --masks --output run --dry-run "
        f"--config {EXAMPLES}/digits.yaml",
    ):
        run(tmp_path, "-m", "tests.eager", "keras_vtr", *command.split())


def test_the_same_boxes_come_from_all_sources(tmp_path):
    printed = run(tmp_path, EXAMPLES / "data_sources.py").splitlines()
    boxes = [x.split()[-4:] for x in printed[-3:]]
    assert boxes == [["0.5", "0.8125", "0.8", "0.125"]] * 3, printed
