"""From each layout of a folder to a report and a served answer."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_vtr.command_line.main import main
from tests.digit_folder import SMALL

NUM_PICTURES = {"train": 8, "val": 3}


@pytest.fixture(scope="module")
def splits(folder):
    """Of each split the annotations and the folder of pictures."""
    found = {}
    for split, number in NUM_PICTURES.items():
        rows = json.loads((folder / f"{split}.json").read_text())
        rows["images"] = rows["images"][:number]
        rows["annotations"] = [
            {**row, "category_id": row["category_id"] + 1}
            for row in rows["annotations"]
            if row["image_id"] < number
        ]
        for category in rows["categories"]:
            category["id"] += 1
        found[split] = rows, folder / split
    return found


def write_roboflow(folder, splits):
    for split, (rows, pictures) in splits.items():
        place = folder / {"val": "valid"}.get(split, split)
        copy(rows, pictures, place)
        root = {"id": 0, "name": "digits", "supercategory": "none"}
        named = [{**x, "supercategory": "digits"} for x in rows["categories"]]
        rows = {**rows, "categories": [root, *named]}
        (place / "_annotations.coco.json").write_text(json.dumps(rows))


def write_cvat(folder, splits):
    (folder / "annotations").mkdir()
    for split, (rows, pictures) in splits.items():
        copy(rows, pictures, folder / "images" / f"{split}2017")
        path = folder / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(rows))


def write_ultralytics(folder, splits):
    names = [x["name"] for x in splits["train"][0]["categories"]]
    places = {split: f"images/{split}" for split in splits}
    content = {"names": names, **places}
    for split, (rows, pictures) in splits.items():
        copy(rows, pictures, folder / places[split])
        for image in rows["images"]:
            path = folder / "labels" / split / f"{image['id']}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "\n".join(
                    f"{label - 1} {x + w / 2} {y + h / 2} {w} {h}"
                    for label, (x, y, w, h) in boxes(rows, image, 1 / 64)
                )
            )
    (folder / "data.yaml").write_text(yaml.safe_dump(content))


def write_voc(folder, splits):
    """Without lists: the split for validation is made."""
    rows, pictures = splits["train"]
    copy(rows, pictures, folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for image in rows["images"]:
        objects = "".join(
            f"<object><name>a {label - 1}</name><bndbox><xmin>{x + 1}</xmin>"
            f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
            "</bndbox></object>"
            for label, (x, y, w, h) in boxes(rows, image, 1)
        )
        (folder / "Annotations" / f"{image['id']}.xml").write_text(
            f"<annotation><filename>{image['file_name']}</filename><size>"
            "<width>64</width><height>64</height></size>"
            f"{objects}</annotation>"
        )


LAYOUTS = {
    "Roboflow": write_roboflow,
    "instances_": write_cvat,
    "data.yaml": write_ultralytics,
    "Pascal VOC": write_voc,
}


def copy(rows, pictures, place):
    place.mkdir(parents=True)
    for image in rows["images"]:
        shutil.copy(pictures / image["file_name"], place)


def boxes(rows, image, scale):
    for row in rows["annotations"]:
        if row["image_id"] == image["id"]:
            yield row["category_id"], [scale * x for x in row["bbox"]]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_becomes_a_report_and_a_served_answer(
    layout, splits, tmp_path, capsys
):
    data, run = tmp_path / "data", str(tmp_path / "run")
    data.mkdir()
    LAYOUTS[layout](data, splits)
    report = str(tmp_path / "inspected")
    assert main(["inspect", str(data), "--output", report]) < 2
    assert layout in capsys.readouterr().out
    options = {**SMALL, "epochs": 1, "deterministic": False}
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(options))
    arguments = ["--output", run, "--config", str(config)]
    assert main(["train", str(data), *arguments]) == 0
    assert main(["evaluate", run, "--thresholds", "best"]) == 0
    numbers = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    names = {x["name"] for x in numbers["classes"]}
    assert names <= {f"a {i}" for i in range(10)} and len(names) > 3
    picture = next(pathlib.Path(data).rglob("1.png"))
    found = tmp_path / "found"
    arguments = [str(picture), "--output", str(found), "--score-threshold=0"]
    assert main(["predict", run, *arguments]) == 0
    (rows,) = json.loads((found / "detections.json").read_text()).values()
    folder = tmp_path / "models"
    assert main(["export", run, str(folder), "--score-threshold=0"]) == 0
    served = tf.saved_model.load(str(folder / "1"))
    answer = served.signatures["serving_default"](
        image_bytes=tf.constant([picture.read_bytes()])
    )
    names = [x.decode() for x in answer["label_names"][0].numpy()]
    assert names == [row["name"] for row in rows]
    for key, name, limit in (("scores", "score", 1e-5), ("boxes", "box", 0.01)):
        expected = [row[name] for row in rows]
        np.testing.assert_allclose(answer[key][0], expected, atol=limit)
