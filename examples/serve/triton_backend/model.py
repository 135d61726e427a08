"""Triton's backend for the SavedModels of keras_vtr, for all models at once.

`backend: "keras_vtr"` in a model's `config.pbtxt` makes Triton load this file
for it, with TensorFlow alone. Requests that Triton has put into one batch are
answered by one call of `serving_default`.
"""

import pathlib

import numpy as np
import tensorflow as tf
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        folder = pathlib.Path(args["model_repository"], args["model_version"])
        self.loaded = tf.saved_model.load(str(folder))
        self.predict = self.loaded.signatures["serving_default"]
        # A version that can't answer must not become ready.
        self.predict(image_bytes=tf.constant([b""]))

    def execute(self, requests):
        rows = [
            triton.get_input_tensor_by_name(request, "image_bytes").as_numpy()
            for request in requests
        ]
        image_bytes = tf.constant(np.concatenate(rows)[:, 0].tolist())
        answer = self.predict(image_bytes=image_bytes)
        answer = {key: _column(x.numpy()) for key, x in answer.items()}
        responses, start = [], 0
        for request, images in zip(requests, rows, strict=True):
            wanted = request.requested_output_names()
            end = start + len(images)
            tensors = [
                triton.Tensor(key, answer[key][start:end]) for key in wanted
            ]
            responses.append(triton.InferenceResponse(tensors))
            start = end
        return responses


def _column(x):
    """Triton's tensors have the batch and something else."""
    return x[:, None] if x.ndim == 1 else x
