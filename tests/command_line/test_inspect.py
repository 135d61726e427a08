import json

import numpy as np
from PIL import Image

from keras_vtr.command_line.main import main
from tests.annotation_files import content
from tests.annotation_files import write
from tests.data.formats.class_folders import write_class_folders


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


def test_class_folders_are_shown_with_a_split_that_is_made(tmp_path, capsys):
    sizes = {f"cat/{i}.png": (50, 30) for i in range(6)}
    data = tmp_path / "data"
    write_class_folders(data, sizes | {"dog/a.png": (9, 70), "x/a.png": (9, 7)})
    # A picture that can't be decoded, one of two classes, and one left out.
    twin = (data / "cat" / "0.png").read_bytes()
    (data / "cat" / "1.png").write_bytes(twin[:-20])
    (data / "dog" / "b.png").write_bytes(twin)
    (data / "dog" / "c.png").write_bytes(b"")
    output = tmp_path / "report"
    options = ["--output", str(output), "--num-images", "3"]
    assert main(["inspect", str(data), *options]) == 1
    printed = capsys.readouterr().out
    for part in (
        f"{data}: a folder of pictures for each class; splits: all",
        "all: 9 images, 3 classes; left out: 1 is not a picture",
        "pictures of each class",
        "cat        6 ####",
        "one picture of the class 'x'",
        "left out, since it is not a picture: 1",
        f"{data}/dog/b.png is {data}/cat/0.png, of another class",
        "cat/1.png: ",
        f" of 9 images are taken for it, {output}/split.json",
    ):
        assert part in printed, printed
    report = json.loads((output / "all.json").read_text())
    assert report["broken"] == [str(data / "cat" / "1.png")]
    with Image.open(output / "all_pictures.png") as picture:
        assert picture.size == (3 * 240 + 2 * 4, 240)


def test_what_is_wrong_with_splits_together_is_a_problem(tmp_path, capsys):
    sizes = {f"{x}/{y}/a.png": (5, 3) for x in ("train", "val") for y in "cd"}
    write_class_folders(tmp_path, sizes)
    for split in ("train", "val"):
        for name in "cd":
            picture = Image.new("RGB", (5, 3), (9, 9, ord(name)))
            picture.save(tmp_path / split / name / "b.png")
    output = tmp_path / "report"
    arguments = ["inspect", str(tmp_path), "--output", str(output)]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "\nproblems of the splits together\n  2 pictures of train" in printed
    assert not (output / "split.json").exists()
