"""The clients under examples/serve, as a user runs them."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.data import picture_files as pictures
from tests.serving import stand_in
from tests.serving.conftest import SERVE

pytestmark = pytest.mark.slow

CLIENTS = ("client_rest.py", "client_grpc.py")


@pytest.fixture(scope="module")
def server(signatures):
    with stand_in.serve("digit_detr", signatures) as addresses:
        yield dict(zip(CLIENTS, addresses, strict=True))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "turned.jpg").write_bytes(pictures.turned_jpeg(6))
    (tmp_path / "bad.txt").write_text("no picture")
    return [str(tmp_path / name) for name in ("turned.jpg", "bad.txt")]


def run(client, *arguments):
    return subprocess.run(
        [sys.executable, SERVE / client, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_shows_what_the_model_found(client, server, files, ask):
    result = run(client, *files, "--server", server[client], "--threshold=0")
    assert result.returncode == 0, result.stderr
    answer = ask([pathlib.Path(path).read_bytes() for path in files])
    expected = [f"{files[0]}:"]
    for score, name, box in zip(
        *(answer[key][0] for key in ("scores", "label_names", "boxes")),
        strict=True,
    ):
        box = [round(float(x), 1) for x in box]
        expected.append(f"  {name.decode()}  {score:.3f}  {box}")
    expected.append(f"{files[1]}: not a JPEG or PNG, or too large")
    assert result.stdout.splitlines() == expected


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ["objects", "segments"])
def test_a_client_writes_masks(client, kind, files, tmp_path):
    answer = {"scores": [0.9, 0.8, 0.0], "labels": [4, 2, -1], "ok": 1}
    if kind == "objects":
        answer["mask_bytes"] = [b"one PNG", b"another", b""]
        answer["boxes"] = [[0.0, 1.0, 2.0, 3.0]] * 3
        expected = {"0_turned_0.png": b"one PNG", "0_turned_1.png": b"another"}
    else:
        answer["map_bytes"] = b"a map"
        expected = {"0_turned_segments.png": b"a map"}
    signatures = {"serving_default": stand_in.Fixed(answer)}
    with stand_in.serve("digit_detr", signatures) as addresses:
        server = dict(zip(CLIENTS, addresses, strict=True))[client]
        folder = tmp_path / "a" / "folder"
        result = run(
            *(client, files[0], "--server", server, "--masks", str(folder))
        )
    assert result.returncode == 0, result.stderr
    assert {x.name: x.read_bytes() for x in folder.iterdir()} == expected
    assert all(name in result.stdout for name in expected)
    assert ("2: 2  0.800" in result.stdout) == (kind == "segments")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_prints_errors_without_a_traceback(client, server, files):
    unknown = run(client, files[0], "--server", server[client], "--model=other")
    assert unknown.returncode == 1 and "Servable not found" in unknown.stderr
    nowhere = {"client_rest.py": "http://127.0.0.1:9"}.get(
        client, "127.0.0.1:9"
    )
    silent = run(client, files[0], "--server", nowhere)
    assert silent.returncode == 1 and "127.0.0.1:9" in silent.stderr
    assert "Traceback" not in unknown.stderr + silent.stderr
