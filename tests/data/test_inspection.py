import json

import numpy as np
import pytest
from PIL import Image

from keras_vtr.data import inspect_records
from keras_vtr.data import read_coco
from keras_vtr.data.inspect import main
from tests.annotation_files import broken
from tests.annotation_files import content
from tests.annotation_files import write
from tests.data.formats.class_folders import write_class_folders


def test_classes_and_sizes_are_counted(tmp_path):
    report = inspect_records(read_coco(*write(tmp_path, content())))
    assert report["classes"] == {"person": 0, "drier": 1, "toothbrush": 2}
    # sqrt(200 / 2400), sqrt(400 / 2400), 1
    assert list(report["sizes"].values()) == [0, 0, 0, 0, 0, 2, 1]
    assert report["problems"] == [
        "no box of the class 'person'",
        "one box of the class 'drier'",
        "images without a box: 1",
    ]


def test_every_problem_is_named(tmp_path):
    data = broken(annotations__0__bbox=[1, 2, 0, 4])
    data["annotations"].append({**data["annotations"][1], "id": 100})
    data["images"].append({**data["images"][0], "id": 7})
    places = write(tmp_path, data)
    (tmp_path / "images" / "1.png").write_bytes(b"x")
    Image.new("RGB", (5, 5)).save(tmp_path / "images" / "2.png")
    data = read_coco(*places, invalid="drop")
    problems = "\n".join(inspect_records(data, max_objects=1)["problems"])
    for part in (
        "left out, since it has no area: 1",
        "0.png: listed 2 times",
        "images without a box: 2",
        "0.png: 2 boxes, more than 1",
        "0.png: 1 duplicate boxes",
        "1.png: cannot identify",
        "2.png: its size is 5 x 5",
    ):
        assert part in problems, problems


def test_suspicious_masks_are_named(tmp_path):
    data = content()
    square = [5, 5, 25, 5, 25, 15, 5, 15]
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    data["annotations"][1]["segmentation"] = [square]  # that of another box
    data["annotations"][2]["segmentation"] = [[0, 0, 40, 60, 40, 0, 0, 60]]
    data["annotations"][0]["segmentation"] = [[5, 5, 5, 5, 5, 5]]
    data = read_coco(*write(tmp_path, data), masks=True, invalid="drop")
    problems = "\n".join(inspect_records(data)["problems"])
    for part in (
        "left out, since it has a mask without a pixel: 1",
        "(id 10).segmentation has an outline that crosses itself",
        "0.png: the mask of object 0 extends over [5, 5, 25, 15], its box over "
        "[30.0, 10.0, 50.0, 30.0]",
    ):
        assert part in problems, problems
    assert problems.count("crosses itself") == problems.count("extends") == 1


def test_an_empty_data_set_is_refused(tmp_path):
    data = read_coco(*write(tmp_path, content()))
    data.records = []
    with pytest.raises(ValueError, match="at least one image"):
        inspect_records(data)


def test_a_folder_is_shown(tmp_path, capsys):
    _, images = write(tmp_path, content())
    images.rename(tmp_path / "data")
    output = tmp_path / "report"
    code = main([str(tmp_path), "--output", str(output), "--num-images", "3"])
    assert code == 1  # a class without a box
    assert "toothbrush        2 ####" in capsys.readouterr().out
    assert json.loads((output / "data.json").read_text())["classes"]
    for kind in ("boxes", "augmented"):
        with Image.open(output / f"data_{kind}.png") as picture:
            assert len(np.unique(np.array(picture))) > 5  # drawn on gray


def test_what_cannot_be_read_ends_with_2(tmp_path, capsys):
    annotations, images = write(tmp_path, "{")
    assert main([str(annotations), str(images)]) == 2
    assert "can't be read" in capsys.readouterr().err
    assert main([str(images)]) == 2
    assert "must hold annotations in one layout" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--unknown"])
    assert stopped.value.code == 2


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
    arguments = [str(tmp_path), "--num-queries", "1", "--num-images", "1"]
    assert main([*arguments, "--output", str(report)]) == 1
    printed, errors = capsys.readouterr()
    assert "a_boxes.png can't be drawn" in printed and "b: " in errors
    assert "0.png: 2 boxes, more than 1 queries" in printed
    assert sorted(x.name for x in report.glob("*.json")) == ["a.json", "c.json"]
    assert (report / "c_boxes.png").exists()
    with pytest.raises(SystemExit):
        main([*arguments, "--num-queries", "0"])


def test_class_folders_are_shown_with_a_split_that_is_made(tmp_path, capsys):
    sizes = {f"cat/{i}.png": (50, 30) for i in range(6)}
    data = write_class_folders(
        tmp_path / "data", sizes | {"dog/a.png": (9, 70)}
    )
    output = tmp_path / "report"
    arguments = [str(data), "--output", str(output), "--num-images", "3"]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    for part in (
        f"{data}: a folder of pictures for each class; splits: all",
        "all: 7 images, 2 classes; left out: none",
        "pictures of each class",
        "cat        6 ####",
        "one picture of the class 'dog'",
        "no split for validation: 2 of 7 images are taken for it, "
        f"{output}/split.json",
    ):
        assert part in printed, printed
    with Image.open(output / "all_pictures.png") as picture:
        assert picture.size == (3 * 240 + 2 * 4, 240)
    # A picture that can't be decoded, one of two classes, and one left out.
    content = (data / "cat" / "0.png").read_bytes()
    (data / "cat" / "1.png").write_bytes(content[:-20])
    (data / "dog" / "b.png").write_bytes(content)
    (data / "dog" / "c.png").write_bytes(b"")
    assert main([*arguments, "--seed", "1"]) == 1
    printed = capsys.readouterr().out
    assert "cat/1.png: " in printed and "is not a picture: 1" in printed
    assert "dog/b.png is " in printed and "of another class" in printed
    assert "1.png" in json.loads((output / "all.json").read_text())["broken"][0]


def test_what_is_wrong_with_splits_together_is_a_problem(tmp_path, capsys):
    sizes = {f"{x}/{y}/a.png": (5, 3) for x in ("train", "val") for y in "cd"}
    write_class_folders(tmp_path, sizes)
    for split in ("train", "val"):
        for name in "cd":
            Image.new("RGB", (5, 3), (9, 9, ord(name))).save(
                tmp_path / split / name / "b.png"
            )
    (tmp_path / "val" / "c" / "a.png").unlink()
    output = tmp_path / "report"
    assert main([str(tmp_path), "--output", str(output)]) == 1
    printed = capsys.readouterr().out
    assert "problems of the splits together: 1" in printed
    assert "2 pictures of train are in val, too: " in printed
    assert not (output / "split.json").exists()
