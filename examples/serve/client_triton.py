"""Asks Triton for the detections in pictures, by KServe's protocol over HTTP.

    python examples/serve/client_triton.py docs/digit_scene.png

Takes less than 5 seconds and needs NumPy. Prints, for each picture, the
detections above a score: name, score, and the box in the picture's pixels.
"""

import argparse
import json
import pathlib
import struct
import sys
import urllib.error
import urllib.request

import numpy as np

OUTPUTS = ("boxes", "scores", "labels", "label_names", "ok")
TYPES = {"FP32": "float32", "INT32": "int32"}


def ask(url, pictures, outputs=OUTPUTS, timeout=60):
    """Returns the answer's arrays by name, each with the pictures first.

    The protocol's binary extension: a JSON header, then each picture after
    its length, in 4 bytes.
    """
    content = b"".join(struct.pack("<I", len(x)) + x for x in pictures)
    image_bytes = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [len(pictures), 1],
        "parameters": {"binary_data_size": len(content)},
    }
    wanted = [
        {"name": name, "parameters": {"binary_data": name != "label_names"}}
        for name in outputs
    ]
    header = json.dumps({"inputs": [image_bytes], "outputs": wanted}).encode()
    request = urllib.request.Request(
        url,
        header + content,
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        length = int(response.headers["Inference-Header-Content-Length"])
        return dict(_read(json.loads(response.read(length)), response))


def _read(header, response):
    for output in header["outputs"]:
        if "data" in output:
            values = np.array(output["data"], object)
        else:
            size = output["parameters"]["binary_data_size"]
            kind = TYPES[output["datatype"]]
            values = np.frombuffer(response.read(size), kind)
        yield output["name"], values.reshape(output["shape"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="digit_detr")
    parser.add_argument("--threshold", type=float, default=0.5)
    arguments = parser.parse_args()
    url = f"{arguments.server}/v2/models/{arguments.model}/infer"
    try:
        answer = ask(url, [path.read_bytes() for path in arguments.pictures])
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} refused the request: {error.read().decode()[:500]}")
    except urllib.error.URLError as error:
        sys.exit(f"No server answers at {url}: {error.reason}")
    for i, path in enumerate(arguments.pictures):
        if not answer["ok"][i]:
            print(f"{path}: not a JPEG or PNG, or too large")
            continue
        print(f"{path}:")
        keys = ("scores", "label_names", "boxes")
        for score, name, box in zip(
            *(answer[key][i] for key in keys), strict=True
        ):
            if score >= arguments.threshold:
                box = [round(float(x), 1) for x in box]
                print(f"  {name}  {score:.3f}  {box}")


if __name__ == "__main__":
    main()
