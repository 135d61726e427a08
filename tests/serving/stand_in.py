"""A server with TF Serving's two protocols, to test its clients.

TensorFlow Serving's binary is in no package registry. REST is answered as by
`keras-vtr serve`; gRPC by a server that follows the documentation, with the
messages of `tensorflow-serving-api`. Both test a client with a signature, not
TF Serving itself.
"""

import contextlib
import threading
from concurrent import futures

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from keras_vtr.serving import rest_server
from keras_vtr.serving.rest import ServedModel


class Fixed:
    """A signature from `image_bytes` that gives each picture one answer."""

    structured_input_signature = (
        (),
        {"image_bytes": tf.TensorSpec((None,), tf.string)},
    )

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


@contextlib.contextmanager
def serve_rest(name, signatures):
    """Yields the address of `keras-vtr serve` for these signatures."""
    with rest_server.listen() as listening:
        model = ServedModel(name, 1, signatures)
        server = rest_server.make_server(model, listening)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://{server.host}:{server.port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def serve(name, signatures):
    """Yields the addresses of REST and gRPC, on this machine."""
    grpc_server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(name, signatures), grpc_server
    )
    grpc_port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    try:
        with serve_rest(name, signatures) as rest:
            yield rest, f"127.0.0.1:{grpc_port}"
    finally:
        grpc_server.stop(None)
