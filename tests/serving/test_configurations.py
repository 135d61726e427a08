"""Configuration files for other programs, in examples/serve."""

import json

import yaml
from google.protobuf import text_format

from tests.serving.conftest import SERVE


def test_tf_serving_s_messages_parse():
    from tensorflow_serving.config import model_server_config_pb2

    text = (SERVE / "models.config").read_text()
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, config)
    (model,) = config.model_config_list.config
    assert model.base_path == f"/models/{model.name}"


def test_batching_has_tf_serving_s_fields():
    # Its message is in no package; its fields are (value of one number).
    lines = (SERVE / "batching.config").read_text().splitlines()
    names = {x.split(" ")[0] for x in lines if x and not x.startswith("#")}
    assert names == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    }


def test_the_manifests_name_one_model():
    compose = yaml.safe_load((SERVE / "docker-compose.yml").read_text())
    (service,) = compose["services"].values()
    assert service["ports"]
    assert all(x.startswith("127.0.0.1:") for x in service["ports"])
    flags = [x.split("=")[-1] for x in service["command"] if "file=" in x]
    assert flags
    for path in flags:
        assert (SERVE / path.removeprefix("/serve/")).exists()
    deployment, found = yaml.safe_load_all(
        (SERVE / "kubernetes.yaml").read_text()
    )
    template = deployment["spec"]["template"]
    assert found["spec"]["selector"] == template["metadata"]["labels"]
    arguments = template["spec"]["containers"][0]["args"]
    assert "--model_base_path=/models/digit_detr" in arguments
    kserve = yaml.safe_load((SERVE / "kserve.yaml").read_text())
    model = kserve["spec"]["predictor"]["model"]
    assert model["storageUri"] == "pvc://models/digit_detr"
    assert json.dumps(model["protocolVersion"]) == '"v1"'
