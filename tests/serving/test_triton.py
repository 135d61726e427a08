"""An independent server; `TRITON_PYTHON=... pytest -m triton`.

TRITON_PYTHON is the Python of an environment with nvidia-pytriton, numpy<2 and
TensorFlow. SOAK_SECONDS is how long the soak takes: 10 by default, 600 once.
"""

import concurrent.futures
import json
import os
import pathlib
import time
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest

from keras_vtr.serving import export_detector
from tests.data import picture_files as pictures
from tests.serving.conftest import NAMES
from tests.serving.conftest import SIZE
from tests.serving.triton import Triton
from tests.serving.triton import client
from tests.serving.triton import make_repository
from tests.tiny_models import tiny_detr

pytestmark = pytest.mark.triton

KEYS = ("boxes", "scores", "ok")
ask_triton = client().ask


@pytest.fixture(scope="module")
def repository(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton") / "models"
    return make_repository(folder, detector[1])


@pytest.fixture(scope="module")
def servers():
    servers = []
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
def start(servers, repository):
    def start():
        python = os.environ["TRITON_PYTHON"]
        server = Triton(python, repository, repository.parent / "triton.log")
        servers.append(server)
        return server.wait_until_ready()

    return start


@pytest.fixture
def server(servers, start):
    """The one that runs; the first test starts it."""
    return servers[-1] if servers else start()


@pytest.fixture(scope="module")
def requests(ask):
    """Pictures, good and bad, and what is right to answer."""
    bad = [x for name, x in pictures.bad().items() if name != "a bomb"]
    images = [*pictures.kinds().values(), *bad, pictures.turned_jpeg(8)]
    return [(image_bytes, ask([image_bytes])) for image_bytes in images]


def is_right(answer, expected):
    return all(
        np.allclose(answer[key].reshape(expected[key].shape), x, atol=1e-3)
        for key, x in expected.items()
        if key in KEYS
    )


def load(server, requests, seconds, num_clients=8):
    """Asks for some time; returns how many answers were right, and wrong."""
    end = time.monotonic() + seconds

    def ask_on(number):
        counts = [0, 0]
        rng = np.random.default_rng(number)
        while time.monotonic() < end:
            image_bytes, expected = requests[rng.integers(len(requests))]
            answer = ask_triton(server.url, [image_bytes])
            counts[not is_right(answer, expected)] += 1
        return counts

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        return np.sum(list(pool.map(ask_on, range(num_clients))), axis=0)


def test_a_client_s_answer_is_the_model_s(server, requests, ask):
    images = [image_bytes for image_bytes, _ in requests][-16:]
    answer = ask_triton(server.url, images)
    expected = ask(images)
    assert is_right(answer, expected)
    names = [[x.decode() for x in row] for row in expected["label_names"]]
    assert answer["label_names"].tolist() == names
    assert answer["labels"].tolist() == expected["labels"].tolist()


def test_clients_that_share_a_batch_do_not_disturb_each_other(server, requests):
    before = statistics(server)
    right, wrong = load(server, requests, seconds=5, num_clients=16)
    assert wrong == 0 and right > 50
    after = statistics(server)
    # Rows against calls of the model.
    rows, calls = (after[key] - before[key] for key in before)
    assert rows > 1.5 * calls


def statistics(server):
    with urllib.request.urlopen(f"{server.base}/stats") as response:
        (found,) = json.load(response)["model_stats"]
    return {key: found[key] for key in ("inference_count", "execution_count")}


def test_a_long_load_leaves_no_trace(server, requests):
    """With SOAK_SECONDS=600: 186,560 right, 0 wrong, 788 -> 789 MiB."""
    seconds = float(os.environ.get("SOAK_SECONDS", 10))
    load(server, requests, seconds=max(10, seconds / 10))
    before = server.mebibytes()
    right, wrong = load(server, requests, seconds)
    after = server.mebibytes()
    report = f"{right} right, {wrong} wrong, {before:.0f} -> {after:.0f} MiB"
    print(report)
    if "SOAK_REPORT" in os.environ:
        pathlib.Path(os.environ["SOAK_REPORT"]).write_text(report + "\n")
    assert wrong == 0 and right > 0, report
    assert after - before < 50, report


def test_a_killed_server_comes_back(server, start, requests):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(load, server, requests, 30)
        time.sleep(2)
        server.kill()
        with pytest.raises((urllib.error.URLError, OSError)):
            future.result()
    right, wrong = load(start(), requests, seconds=3)
    assert wrong == 0 and right > 20


def test_a_broken_version_leaves_the_one_before_it(
    server, requests, repository
):
    broken = repository / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"broken")
    broken.rename(repository / "detr" / "2")
    right, wrong = load(server, requests, seconds=5)  # it polls each second
    assert wrong == 0 and right > 50
    assert server.is_ready(1) and not server.is_ready(2)
    keras.utils.set_random_seed(8)
    other = tiny_detr(image_shape=(*SIZE, 3), class_names=NAMES)
    assert export_detector(other, repository / "detr").name == "3"
    server.wait_until_ready(version=3)
    image_bytes, expected = requests[0]
    answer = ask_triton(server.url, [image_bytes])
    assert answer["ok"] and not is_right(answer, expected)
