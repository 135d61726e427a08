import numpy as np
import tensorflow as tf

from keras_vtr.serving.self_check import WARMUP


def write_warmup(folder, name, image_bytes, batch_sizes):
    """Writes requests that TF Serving runs before it accepts others.

    TensorFlow's guide "SavedModel Warmup": a TFRecord file of `PredictionLog`.

    Args:
        folder: Of the SavedModel.
        name: The model's.
        image_bytes: One encoded image.
        batch_sizes: A request is written for each.

    Raises:
        ImportError: If `tensorflow-serving-api` isn't installed.
    """
    try:
        from tensorflow_serving.apis import predict_pb2
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "Warm-up requests need `pip install tensorflow-serving-api`, or "
            'keras_vtr\'s extra "serving".'
        ) from error
    path = folder / WARMUP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch_size in batch_sizes:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = "serving_default"
            images = np.array([image_bytes] * batch_size, object)
            request.inputs["image_bytes"].CopyFrom(
                tf.make_tensor_proto(images, tf.string)
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
