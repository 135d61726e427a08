"""Asks TF Serving for the detections in pictures, by gRPC.

    pip install -e ".[serving]"
    python examples/serve/client_grpc.py docs/digit_scene.png

Takes 10 seconds, most of them to import TensorFlow. Prints, for each picture,
the detections above a score: name, score, and the box in the picture's pixels.
With `--masks FOLDER`, writes the masks there, as client_rest.py does.
"""

import argparse
import pathlib
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

# gRPC refuses messages above 4 MiB unless both sides allow them.
MAX_MESSAGE_BYTES = 64 * 2**20


def ask(server, model, pictures, timeout=60):
    """Returns the answer's arrays by name, each with the pictures first."""
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(pictures))
    with grpc.insecure_channel(server, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout)
    return {key: tf.make_ndarray(x) for key, x in response.outputs.items()}


def show(number, path, answer, threshold, folder):
    if not answer["ok"]:
        print(f"{path}: not a JPEG or PNG, or too large")
        return
    print(f"{path}:")
    names = answer.get("label_names", answer["labels"])
    is_map = "map_bytes" in answer
    for i, score in enumerate(answer["scores"]):
        if answer["labels"][i] < 0 or (score < threshold and not is_map):
            continue
        name = names[i].decode() if isinstance(names[i], bytes) else names[i]
        line = f"  {f'{i + 1}: ' if is_map else ''}{name}  {score:.3f}"
        if "boxes" in answer:
            line += f"  {[round(float(x), 1) for x in answer['boxes'][i]]}"
        if folder and "mask_bytes" in answer:
            file = folder / f"{number}_{path.stem}_{i}.png"
            file.write_bytes(answer["mask_bytes"][i])
            line += f"  {file}"
        print(line)
    if folder and is_map:
        file = folder / f"{number}_{path.stem}_segments.png"
        file.write_bytes(answer["map_bytes"])
        print(f"  {file}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="127.0.0.1:8500")
    parser.add_argument("--model", default="digit_detr")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--masks", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    pictures = [path.read_bytes() for path in arguments.pictures]
    try:
        answer = ask(arguments.server, arguments.model, pictures)
    except grpc.RpcError as error:
        sys.exit(f"{arguments.server}: {error.code().name}: {error.details()}")
    if arguments.masks:
        arguments.masks.mkdir(parents=True, exist_ok=True)
    for i, path in enumerate(arguments.pictures):
        row = {key: x[i] for key, x in answer.items()}
        show(i, path, row, arguments.threshold, arguments.masks)


if __name__ == "__main__":
    main()
