"""Processes end, whatever their threads are reading."""

import pathlib
import subprocess
import sys

import pytest

from tests.digit_folder import write_digits

ROOT = pathlib.Path(__file__).parents[2]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, seconds):
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, output, errors.strip().splitlines()[-1:]


@pytest.mark.slow
def test_a_program_ends_while_its_threads_are_within_python():
    process = start("tests.data.ends_while_reading")
    code, output, _ = finish(process, 120)
    assert code == 1
    assert output == "read 0\nread 1\nread 2\n"


@pytest.mark.parametrize(
    "num_runs",
    [
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(40, marks=pytest.mark.long),
    ],
)
def test_a_training_that_fails_ends_with_the_reason(num_runs, tmp_path):
    folder = write_digits(tmp_path)
    broken = folder / "train" / "3.png"
    broken.write_bytes(broken.read_bytes()[:100])
    options = ("--config", folder / "small.yaml", "--output")
    for number in range(0, num_runs, 2):
        processes = [
            start("keras_vtr", "train", folder, *options, tmp_path / f"{i}")
            for i in (number, number + 1)
        ]
        for process in processes:
            code, _, (last,) = finish(process, 300)
            assert code == 1
            assert last.startswith(f"keras-vtr: {broken} can't be trained on")
