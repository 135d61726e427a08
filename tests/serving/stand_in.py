"""A server with TF Serving's two protocols, to test its clients.

TensorFlow Serving's binary is in no package registry. This server follows its
REST and gRPC documentation, with the messages of `tensorflow-serving-api`. It
tests a client with a signature, not TF Serving itself.
"""

import base64
import contextlib
import http.server
import json
import re
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc


class Fixed:
    """A signature from `image_bytes` that gives each picture one answer."""

    structured_input_signature = ((), {"image_bytes": None})

    def __init__(self, answer):
        self.row = answer

    def __call__(self, image_bytes):
        return {
            key: tf.constant([x] * len(image_bytes))
            for key, x in self.row.items()
        }


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` by gRPC."""

    def __init__(self, name, signatures):
        self.name, self.signatures = name, signatures

    def Predict(self, request, context):
        spec = request.model_spec
        if spec.name != self.name:
            message = f"Servable not found for request: Latest({spec.name})"
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        inputs = {
            key: tf.constant(tf.make_ndarray(x))
            for key, x in request.inputs.items()
        }
        answer = self.signatures[spec.signature_name](**inputs)
        response = predict_pb2.PredictResponse(model_spec=spec)
        for key, x in answer.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(x.numpy()))
        return response


def handler(name, signatures):
    """`:predict` by REST, in rows; with CORS, as `--enable_cors_support`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_OPTIONS(self):
            self.answer(200, {})

        def do_POST(self):
            found = re.fullmatch(r"/v1/models/(.+):predict", self.path)
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            if not found or found[1] != name:
                error = f"Servable not found for request: {self.path}"
                return self.answer(404, {"error": error})
            signature = signatures[body["signature_name"]]
            (key,) = signature.structured_input_signature[1]
            rows = [decoded(row[key]) for row in body["instances"]]
            answer = signature(**{key: tf.constant(rows)})
            rows = [
                {key: encoded(key, x[i].numpy()) for key, x in answer.items()}
                for i in range(len(rows))
            ]
            self.answer(200, {"predictions": rows})

        def answer(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            for key, value in (
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(content))),
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Methods", "POST"),
                ("Access-Control-Allow-Headers", "content-type"),
            ):
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


def decoded(value):
    is_binary = isinstance(value, dict) and set(value) == {"b64"}
    return base64.b64decode(value["b64"]) if is_binary else value


def encoded(key, value):
    """Strings become text; those named `*_bytes` become base64."""
    if isinstance(value, bytes) and key.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [encoded(key, x) for x in value]
    return value.item()


@contextlib.contextmanager
def serve(name, signatures):
    """Yields the addresses of REST and gRPC, on this machine."""
    grpc_server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(name, signatures), grpc_server
    )
    grpc_port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    address = ("127.0.0.1", 0)
    http_server = http.server.ThreadingHTTPServer(
        address, handler(name, signatures)
    )
    threading.Thread(target=http_server.serve_forever).start()
    try:
        rest = f"http://127.0.0.1:{http_server.server_port}"
        yield rest, f"127.0.0.1:{grpc_port}"
    finally:
        http_server.shutdown()
        http_server.server_close()
        grpc_server.stop(None)
