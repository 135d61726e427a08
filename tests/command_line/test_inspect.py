import json

import numpy as np
from PIL import Image

from keras_vtr.command_line.main import main
from tests.annotation_files import content
from tests.annotation_files import write


def test_a_folder_is_shown(tmp_path, capsys):
    _, images = write(tmp_path, content())
    images.rename(tmp_path / "data")
    output = tmp_path / "report"
    code = main(
        ["inspect", str(tmp_path), "--output", str(output), "--num-images", "3"]
    )
    assert code == 1  # a class without a box
    assert "toothbrush        2 ####" in capsys.readouterr().out
    assert json.loads((output / "data.json").read_text())["classes"]
    for kind in ("boxes", "augmented"):
        with Image.open(output / f"data_{kind}.png") as picture:
            assert len(np.unique(np.array(picture))) > 5  # drawn on gray


def test_what_cannot_be_read_ends_with_2(tmp_path, capsys):
    annotations, images = write(tmp_path, "{")
    assert main(["inspect", str(annotations), str(images)]) == 2
    assert "can't be read" in capsys.readouterr().err
    assert main(["inspect", str(images)]) == 2
    assert "must hold annotations in one layout" in capsys.readouterr().err


def test_pictures_that_are_all_broken_and_splits_that_cannot_be_read(
    tmp_path, capsys
):
    for name in ("a", "b", "c"):
        _, images = write(tmp_path, content())
        images.rename(tmp_path / name)
        (tmp_path / "data.json").rename(tmp_path / f"{name}.json")
    for path in (tmp_path / "a").iterdir():
        Image.new("RGB", (50, 70)).save(path)
    (tmp_path / "b.json").write_text("{")
    report = tmp_path / "report"
    arguments = [
        "inspect",
        str(tmp_path),
        "--num-queries",
        "1",
        "--num-images",
        "1",
    ]
    assert main([*arguments, "--output", str(report)]) == 1
    printed, errors = capsys.readouterr()
    assert (
        "a_boxes.png can't be drawn" in printed and "keras-vtr: b: " in errors
    )
    assert "0.png: 2 boxes, more than 1 queries" in printed
    assert sorted(x.name for x in report.glob("*.json")) == ["a.json", "c.json"]
    assert (report / "c_boxes.png").exists()
    assert main([*arguments, "--num-queries", "0"]) == 1
