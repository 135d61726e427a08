"""Small annotated folders."""

import json

import keras
import numpy as np

SIZES = ((40, 60), (60, 40), (30, 30))  # height, width


def content():
    boxes = {0: [[5, 5, 20, 10], [30, 10, 20, 20]], 1: [[0, 0, 40, 60]], 2: []}
    rows = [
        {"id": 10 * i + j, "image_id": i, "category_id": 90 - i, "bbox": box}
        for i, of_image in boxes.items()
        for j, box in enumerate(of_image)
    ]
    rows.append({**rows[0], "id": 99, "iscrowd": 1, "bbox": [0, 0, 60, 40]})
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": h, "width": w}
            for i, (h, w) in enumerate(SIZES)
        ],
        "annotations": rows,
        "categories": [
            {"id": 90, "name": "toothbrush"},
            {"id": 1, "name": "person"},
            {"id": 89, "name": "drier"},
        ],
    }


def write(folder, data):
    (folder / "images").mkdir(exist_ok=True)
    for i, (height, width) in enumerate(SIZES):
        pixels = np.full((height, width, 3), 50 * (i + 1), "float32")
        picture = keras.utils.array_to_img(pixels, scale=False)
        picture.save(folder / "images" / f"{i}.png")
    (folder / "data.json").write_text(
        data if isinstance(data, str) else json.dumps(data)
    )
    return folder / "data.json", folder / "images"


def broken(**change):
    data = content()
    for place, value in change.items():
        key, row, field = place.split("__")
        data[key][int(row)][field] = value
    return data
