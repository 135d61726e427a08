"""What `keras-vtr serve` answers, without a browser."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from werkzeug.test import Client

from keras_vtr.command_line.main import main
from keras_vtr.command_line.run_folder import write_config
from keras_vtr.command_line.serve import find_version
from keras_vtr.serving import rest_server
from keras_vtr.serving.rest import ServedModel
from keras_vtr.serving.rest import load_served_model
from tests.data import picture_files as pictures
from tests.serving.conftest import NAMES
from tests.serving.conftest import SIZE

PREDICT = "/v1/models/detr:predict"


@pytest.fixture(scope="module")
def client(signatures):
    return Client(rest_server.make_app(ServedModel("detr", 3, signatures)))


def b64(image_bytes):
    return {"b64": base64.b64encode(image_bytes).decode()}


def test_rows_are_answered_as_by_the_signature(client, ask):
    images = [pictures.turned_jpeg(6), b"no picture"]
    rows = [{"image_bytes": b64(image)} for image in images]
    answer = client.post(PREDICT, json={"instances": rows})
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    expected = ask(images)
    found = answer.json["predictions"]
    assert [row["ok"] for row in found] == [1, 0]
    for key in ("boxes", "scores", "labels"):
        value = [row[key] for row in found]
        np.testing.assert_array_equal(np.float32(value), expected[key])
    names = [name.decode() for name in expected["label_names"][0]]
    assert found[0]["label_names"] == names and set(names) <= {*NAMES[:2], ""}
    # The name of the only input may be left out, and the version be named.
    bare = {"signature_name": "serving_default", "instances": [b64(images[0])]}
    for version in ("", "/versions/3"):
        path = f"/v1/models/detr{version}"
        again = client.post(f"{path}:predict", json=bare)
        (row,) = again.json["predictions"]
        np.testing.assert_allclose(row["scores"], found[0]["scores"], 1e-5)
        (status,) = client.get(path).json["model_version_status"]
        assert (status["version"], status["state"]) == ("3", "AVAILABLE")
    pixels = np.zeros((1, 4, 5, 3), "uint8")
    decoded = {"signature_name": "images", "instances": pixels.tolist()}
    (row,) = client.post(PREDICT, json=decoded).json["predictions"]
    assert row["ok"] == 1 and len(row["scores"]) == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "JSON Parse error"),
        (b"\xff", "JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b"[]", 'Missing "instances"'),
        ({"instances": []}, 'Missing "instances"'),
        ({"inputs": {"image_bytes": []}}, "reads rows alone"),
        ({"instances": "x"}, "must be a list"),
        ({"instances": ["x"], "signature_name": "y"}, 'name: "y" not found'),
        ({"instances": ["x"], "signature_name": []}, "not found"),
        ({"instances": [{"images": 1}]}, r"inputs \['image_bytes'\]"),
        ({"instances": [{"b64": "?"}]}, "must be base64"),
        ({"instances": [3]}, "must be string"),
        ({"instances": [["x"]]}, r"Received: \(1, 1\)"),
        (([[[300, 0, 0]]],), "limits, 0 to 255"),
        (([[[0.5, 0, 0]]],), "must be uint8"),
        (([[[True, 0, 0]]],), "must be uint8. Received: true or false"),
        (([[[1, 2]]],), r"shape \(None, None, None, 3\)"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client, body, reason):
    if isinstance(body, tuple):
        body = {"signature_name": "images", "instances": list(body)}
    body = body if isinstance(body, bytes) else json.dumps(body)
    answer = client.post(PREDICT, data=body)
    assert answer.status_code == 400
    with pytest.raises(ValueError, match=reason):
        raise ValueError(answer.json["error"])


def test_other_addresses_and_large_bodies_are_refused(client, monkeypatch):
    monkeypatch.setattr(rest_server, "MAX_REQUEST_BYTES", 100)
    for method, path, body, status in (
        ("POST", "/v1/models/other:predict", b"{}", 404),
        ("POST", "/v1/models/detr/versions/4:predict", b"{}", 404),
        ("GET", "/v1/models/other", b"", 404),
        ("GET", "/etc/passwd", b"", 404),
        ("GET", PREDICT, b"", 404),
        ("POST", "/", b"", 405),
        ("POST", PREDICT, b" " * 101, 413),
    ):
        answer = client.open(path, method=method, data=body)
        assert answer.status_code == status and answer.json["error"], path
    other = client.get("/v1/models/other").json["error"]
    assert "Servable not found" in other and "There is detr, version 3" in other


@pytest.mark.parametrize("path", ["/", "/v1/models/detr", PREDICT])
def test_other_names_of_this_machine_are_refused(client, path):
    headers = {"Host": "elsewhere.example:8501"}
    method = "POST" if path == PREDICT else "GET"
    answer = client.open(path, method=method, data=b"{}", headers=headers)
    assert answer.status_code == 400 and "trusted" in answer.json["error"]


def test_the_page_asks_this_server_about_its_model(client, signatures):
    page = client.get("/", follow_redirects=True)
    assert page.request.args.to_dict() == {"model": "detr"}
    assert "TF Serving answers the same requests" in page.text
    assert "<!-- ask -->" not in page.text
    # Thresholds of classes are lower than the page's own.
    thresholds = {"score_threshold": {"one": 0.2, "two": 0.3}}
    model = ServedModel("a/b c", 1, signatures, thresholds)
    page = Client(rest_server.make_app(model)).get("/", follow_redirects=True)
    assert page.request.args.to_dict() == {"model": "a/b c", "least": "0"}


@pytest.mark.slow
def test_a_run_is_exported_and_served(detector, tmp_path, monkeypatch):
    from werkzeug.serving import ThreadedWSGIServer

    def serve(server):
        client = Client(server.app)
        (status,) = client.get("/v1/models/digits").json.values()
        image = b64(pictures.encode(pictures.picture(*SIZE)))
        path = "/v1/models/digits:predict"
        answer = client.post(path, json={"instances": [image]}).json
        found = len(answer["predictions"][0]["scores"])
        asked.append((status[0]["state"], found))
        server.server_close()

    asked = []
    monkeypatch.setattr(ThreadedWSGIServer, "serve_forever", serve)
    run = tmp_path / "digits"
    write_config(run, {"task": "detection"})
    detector[0].save(run / "model.keras")
    assert main(["serve", str(run), "--port=0", "--max-detections=2"]) == 130
    assert asked == [("AVAILABLE", 2)]
    assert {x.name for x in run.iterdir()} == {"config.yaml", "model.keras"}
    folder = tmp_path / "exported"
    assert main(["export", str(run), str(folder), "--format", "onnx"]) == 0
    assert (folder / "1" / "model.onnx").exists()


def test_an_exported_model_is_served_until_it_is_interrupted(
    detector, tmp_path, capsys, monkeypatch
):
    from werkzeug.serving import ThreadedWSGIServer

    def serve(server):
        image = b64(pictures.encode(pictures.picture(*SIZE)))
        path = "/v1/models/detr/versions/1:predict"
        answer = Client(server.app).post(path, json={"instances": [image]})
        assert answer.json["predictions"][0]["ok"] == 1
        # Its port is taken, which is told before anything is loaded.
        assert main(["serve", "nowhere", f"--port={server.port}"]) == 1
        error = capsys.readouterr().err
        assert f"Received: port={server.port}: [Errno" in error
        server.server_close()

    monkeypatch.setattr(ThreadedWSGIServer, "serve_forever", serve)
    assert main(["serve", str(detector[1].parent), "--port=0"]) == 130
    options = ["--port=0", "--max-detections=2"]
    assert main(["serve", str(detector[1].parent), *options]) == 1
    assert "as it was exported. Received" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--port=0"]) == 1
    assert "Received: a folder with neither" in capsys.readouterr().err
    for number in (9, 10):
        tf.saved_model.save(tf.Module(), str(tmp_path / str(number)))
    newest = find_version(tmp_path)
    assert newest == (tmp_path / "10", tmp_path.name)
    assert find_version(tmp_path / "9") == (tmp_path / "9", tmp_path.name)
    with pytest.raises(ValueError, match="from `image_bytes`"):
        load_served_model(*newest)
