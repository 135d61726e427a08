"""The programs of examples/distributed, two processes each, over loopback."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_vtr

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = ROOT / "examples" / "distributed"
STEPS, EPOCHS = 4, 2

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="each program chooses its backend",
)


def start(program, folder, output, *options):
    command = [sys.executable, PROGRAMS / f"{program}.py", folder]
    command += ["--output", output, "--steps", STEPS, "--epochs", EPOCHS]
    command += ["--batch-size", 4, *options]
    return subprocess.Popen(
        [str(x) for x in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(*processes):
    """Waits for all; returns the last line of losses of each."""
    losses = []
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-3000:]
        lines = [x for x in output.splitlines() if "giou_loss: " in x]
        losses.append([float(x.split(" loss: ")[1][:7]) for x in lines])
    return losses


def workers(program, *arguments, number=2):
    addresses = []
    for _ in range(number):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{free.getsockname()[1]}")
    where = ("--workers", ",".join(addresses), "--worker")
    return [start(program, *arguments, *where, i) for i in range(number)]


def weights(output):
    model = keras.models.load_model(output / "model.keras", compile=False)
    return model.get_weights()


def assert_equal(one, other):
    """AdamW divides a gradient by its size: a step is 1e-3 whatever that is.

    So where a gradient is next to nothing a few weights tell in which order
    sums were taken; by far the most are equal.
    """
    pairs = zip(weights(one), weights(other), strict=True)
    distances = np.concatenate([np.ravel(abs(a - b)) for a, b in pairs])
    assert distances.max() < 5e-4 and distances.mean() < 1e-6


def kill_and_go_on(program, folder, output):
    """Workers killed after their first epoch, and started again.

    Returns the losses of each worker's second start.
    """
    killed = workers(program, folder, output)
    wanted = output / f"step-{STEPS:09d}-end"
    while not wanted.exists():
        assert killed[0].poll() is None, killed[0].stdout.read()[-3000:]
        time.sleep(0.01)
    killed[1].kill()
    killed[0].kill()
    for process in killed:
        process.communicate()
    return end(*workers(program, folder, output))


@pytest.mark.slow
def test_workers_of_tensorflow_equal_one_and_go_on_when_killed(
    folder, tmp_path
):
    one, killed = tmp_path / "one", tmp_path / "killed"
    (losses,) = end(start("mirrored", folder, one, "--devices", 1))
    assert len(losses) == EPOCHS
    again = kill_and_go_on("multi_worker", folder, killed)
    assert again == [losses[1:], losses[1:]]
    assert_equal(one, killed)


@pytest.mark.long
def test_two_devices_equal_one(folder, tmp_path):
    # In CI two replicas with uneven halves do, tests/test_replicas.py.
    one, two = tmp_path / "one", tmp_path / "two"
    alone = end(start("mirrored", folder, one, "--devices", 1))
    assert end(start("mirrored", folder, two, "--devices", 2)) == alone
    assert_equal(one, two)


@pytest.mark.slow
def test_workers_of_jax_equal_one(folder, tmp_path):
    pytest.importorskip("ray")
    one, ray = tmp_path / "one", tmp_path / "ray"
    end(*workers("jax_workers", folder, one, number=1))
    end(start("ray_train", folder, ray))  # which starts two
    assert_equal(one, ray)


@pytest.mark.long
def test_workers_of_jax_go_on_when_killed(folder, tmp_path):
    one, killed = tmp_path / "one", tmp_path / "killed"
    (losses,) = end(*workers("jax_workers", folder, one, number=1))
    again = kill_and_go_on("jax_workers", folder, killed)
    assert again == [losses[1:], losses[1:]]
    assert_equal(one, killed)


@pytest.mark.slow
def test_a_worker_of_ray_data_is_killed(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("ray")
    images, output = tmp_path / "images", tmp_path / "found"
    images.mkdir()
    scenes = keras_vtr.data.digit_scenes(
        "held_out", batch_size=1, num_scenes=50
    )
    for i, (scene, _) in enumerate(scenes.as_numpy_iterator()):
        keras.utils.save_img(images / f"0-{i}.png", scene[0], scale=False)
        for copy in range(1, 10):
            os.link(images / f"0-{i}.png", images / f"{copy}-{i}.png")
    (images / "broken.png").write_bytes(b"x")
    keras_vtr.serving.export_detector(
        tiny_detector(), tmp_path / "model", short_side=64, longest_side=64
    )
    command = [sys.executable, PROGRAMS / "predict_ray.py"]
    command += [tmp_path / "model" / "1", images, "--output", output]
    command += ["--part-size", 50, "--score-threshold", 0]
    command = [str(x) for x in command]
    process = subprocess.Popen(command, stderr=subprocess.STDOUT)
    while len(list(output.glob("part-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    (victim, *_) = subprocess.run(
        ["pgrep", "-f", "ray::.*Predictor"], capture_output=True, text=True
    ).stdout.split()
    os.kill(int(victim), signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    found = pandas.read_parquet(output)
    assert len(found) == found.path.nunique() == 501
    assert list(found.path[~found.ok]) == ["broken.png"]
    assert {len(x) for x in found.boxes[found.ok]} == {5}

    part = output / "part-000003.parquet"
    part.unlink()
    times = {x: x.stat().st_mtime_ns for x in output.glob("part-*")}
    subprocess.run(command, check=True)
    assert part.exists()
    assert all(x.stat().st_mtime_ns == t for x, t in times.items())
    refused = subprocess.run([*command, "--batch-size", "8"])
    assert refused.returncode == 1


def tiny_detector():
    return keras_vtr.models.build_detr(
        10,
        backbone=keras_vtr.backbones.build_convolution_stem((64, 64, 3)),
        image_shape=(64, 64, 3),
        num_queries=5,
        hidden_dim=16,
        num_heads=2,
        mlp_dim=16,
        num_encoder_layers=1,
        num_decoder_layers=1,
    )
