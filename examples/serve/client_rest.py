"""Asks TF Serving for the detections in pictures, by REST.

    python examples/serve/client_rest.py docs/digit_scene.png

Takes less than 5 seconds and needs Python alone. Prints, for each picture, the
detections above a score: name, score, and the box in the picture's pixels.
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request


def ask(url, pictures, timeout=60):
    """Returns a dict for each picture; a row of a batch is an "instance"."""
    instances = [
        {"image_bytes": {"b64": base64.b64encode(x).decode()}} for x in pictures
    ]
    body = {"signature_name": "serving_default", "instances": instances}
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)["predictions"]


def show(path, answer, threshold):
    if not answer["ok"]:
        print(f"{path}: not a JPEG or PNG, or too large")
        return
    print(f"{path}:")
    names = answer.get("label_names", answer["labels"])
    found = zip(answer["scores"], names, answer["boxes"], strict=True)
    for score, name, box in found:
        if score >= threshold:
            print(f"  {name}  {score:.3f}  {[round(x, 1) for x in box]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="digit_detr")
    parser.add_argument("--threshold", type=float, default=0.5)
    arguments = parser.parse_args()
    url = f"{arguments.server}/v1/models/{arguments.model}:predict"
    pictures = [path.read_bytes() for path in arguments.pictures]
    try:
        answers = ask(url, pictures)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} refused the request: {error.read().decode()[:500]}")
    except urllib.error.URLError as error:
        sys.exit(f"No server answers at {url}: {error.reason}")
    for path, answer in zip(arguments.pictures, answers, strict=True):
        show(path, answer, arguments.threshold)


if __name__ == "__main__":
    main()
