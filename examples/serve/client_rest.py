"""Asks TF Serving for the detections in pictures, by REST.

    python examples/serve/client_rest.py docs/digit_scene.png

Takes less than 5 seconds and needs Python alone. Prints, for each picture, the
detections above a score: name, score, and the box in the picture's pixels. With
`--masks FOLDER`, writes the masks there, PNGs of the picture's own size: one
for each detection, white in the object; or, of a segmenter, one for each
picture, whose pixels have the numbers that stand before the segments' names.
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
        line = f"  {f'{i + 1}: ' if is_map else ''}{names[i]}  {score:.3f}"
        if "boxes" in answer:
            line += f"  {[round(x, 1) for x in answer['boxes'][i]]}"
        if folder and "mask_bytes" in answer:
            file = folder / f"{number}_{path.stem}_{i}.png"
            file.write_bytes(base64.b64decode(answer["mask_bytes"][i]["b64"]))
            line += f"  {file}"
        print(line)
    if folder and is_map:
        file = folder / f"{number}_{path.stem}_segments.png"
        file.write_bytes(base64.b64decode(answer["map_bytes"]["b64"]))
        print(f"  {file}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="digit_detr")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--masks", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    url = f"{arguments.server}/v1/models/{arguments.model}:predict"
    pictures = [path.read_bytes() for path in arguments.pictures]
    try:
        answers = ask(url, pictures)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} refused the request: {error.read().decode()[:500]}")
    except urllib.error.URLError as error:
        sys.exit(f"No server answers at {url}: {error.reason}")
    if arguments.masks:
        arguments.masks.mkdir(parents=True, exist_ok=True)
    for i, answer in enumerate(answers):
        path = arguments.pictures[i]
        show(i, path, answer, arguments.threshold, arguments.masks)


if __name__ == "__main__":
    main()
