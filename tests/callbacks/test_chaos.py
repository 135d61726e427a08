"""Runs that SIGKILL ends many times, and a full disk."""

import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.callbacks import run

ROOT = pathlib.Path(__file__).parents[2]


def start(folder, result, slowly=0.0, limit=0):
    arguments = [folder, result, str(slowly), str(limit)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.callbacks.run", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n", process.stderr.read()
    return process


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def assert_same_weights(one, other):
    with np.load(one) as first, np.load(other) as second:
        assert first.files == second.files
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize(
    "num_kills",
    [
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(20, marks=pytest.mark.long),
    ],
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    num_kills, tmp_path
):
    whole = tmp_path / "whole.npz"
    process = start(tmp_path / "whole", whole, slowly=0.05)
    begin = time.monotonic()
    finish(process)
    seconds = time.monotonic() - begin

    chance = random.Random(5)
    kills = resumed = run_number = 0
    results = []
    while kills < num_kills or not results:
        folder = tmp_path / f"run-{run_number}"
        result = tmp_path / f"{run_number}.npz"
        resumed += any(folder.glob("step-*"))
        process = start(folder, result, slowly=0.05)
        try:
            process.wait(chance.uniform(0.1, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        finish(process)
        results.append(result)
        run_number += 1
    assert resumed >= num_kills // 4
    for result in results:
        assert_same_weights(result, whole)


@pytest.mark.slow
def test_a_full_disk_leaves_older_checkpoints_unchanged(tmp_path):
    folder, result = tmp_path / "run", tmp_path / "result.npz"
    run.train(folder, epochs=1)
    before = [x.name for x in folder.glob("step-*")]
    process = start(folder, result, limit=300)
    _, errors = process.communicate()
    assert process.returncode == 1 and not result.exists()
    assert "could not be saved" in errors and "still in memory" in errors
    assert [x.name for x in folder.glob("step-*")] == before
    assert not list(folder.glob(".writing-*"))
    finish(start(folder, result))
    finish(start(tmp_path / "other", tmp_path / "other.npz"))
    assert_same_weights(result, tmp_path / "other.npz")
