"""A data folder, read for training: what is suspicious is said before."""

import os
import pathlib
import re

import pytest

from keras_vtr.data import AnnotationError
from keras_vtr.data import read_training_data
from keras_vtr.data import register_layout
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.layouts import finding
from keras_vtr.data.formats.layouts import read_split
from tests.annotation_files import content
from tests.annotation_files import write
from tests.data.formats.class_folders import write_class_folders

SWAPPED = {"person": "drier", "drier": "person", "toothbrush": "toothbrush"}


def folders(folder, **classes):
    """Class folders of splits, with a number of pictures a class."""
    return write_class_folders(
        folder,
        {
            f"{split}/{name}/{i}.png": (5, 3)
            for split, numbers in classes.items()
            for name, number in numbers.items()
            for i in range(number)
        },
    )


def coco(folder, **categories):
    """Our layout; `categories` are the changes of a split's."""
    for split, names in categories.items():
        data = content()
        data["categories"] = names(data["categories"])
        _, images = write(folder, data)
        images.rename(folder / split)
        (folder / "data.json").rename(folder / f"{split}.json")
    return folder


def test_what_is_recognized_and_suspicious_is_said(tmp_path):
    folders(tmp_path, train={"cat": 3, "dog": 1}, valid={"cat": 1})
    twin = (tmp_path / "train" / "cat" / "1.png").read_bytes()
    (tmp_path / "valid" / "cat" / "9.png").write_bytes(twin)
    split_file = tmp_path / "run" / "split.json"
    data = read_training_data(tmp_path, split_file)
    data.save_split()  # there is none to be saved
    assert not split_file.exists()
    assert str(data).splitlines() == [
        f"Data: {tmp_path}: a folder of pictures for each class; splits: "
        "train, valid",
        "Train: 4 images, 2 classes; left out: none",
        "Validation: 2 images, 2 classes; left out: none",
        "Remark: train: one picture of the class 'dog'",
        "Remark: val: no picture of the class 'dog'",
        f"Remark: 1 pictures of train are in val, too: {tmp_path}/train/cat/"
        f"1.png is {tmp_path}/valid/cat/9.png",
    ]
    with pytest.raises(AnnotationError, match="without masks"):
        read_training_data(tmp_path, split_file, masks=True)
    (tmp_path / "valid" / "cow").mkdir()
    (tmp_path / "valid" / "cow" / "1.png").write_bytes(twin)
    with pytest.raises(AnnotationError, match="'cow' is not among"):
        read_training_data(tmp_path, split_file)


def test_a_split_is_made_written_and_followed(tmp_path):
    data = write_class_folders(
        tmp_path / "data",
        {f"{x}/{i}.png": (5, 3) for x in ("cat", "dog") for i in range(4)},
    )
    split_file = tmp_path / "run" / "split.json"
    with pytest.raises(AnnotationError, match=r"'val' once. Received: \['all'"):
        read_split(data, "val", split_file=split_file)
    found = read_training_data(data, split_file, seed=1)
    assert (
        f"class, where {split_file} takes val from all; splits: train"
        in str(found)
    )
    assert set(found.val.labels) == {0, 1} == set(found.train.labels)
    assert not split_file.exists()
    found.save_split()
    again = read_training_data(data, split_file, seed=2)
    assert again.val.paths == found.val.paths
    assert read_split(data, "val", split_file=split_file).paths == (
        found.val.paths
    )
    other = folders(tmp_path / "other", x={"cat": 2, "cow": 2}) / "x"
    with pytest.raises(AnnotationError, match="If the file is of other data"):
        read_training_data(other, split_file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[::-1], None),  # the ids, not their order, are the classes
        (lambda x: [*x, {"id": 91, "name": "cow"}], "'cow' is only in val"),
        (
            lambda x: [{**y, "name": SWAPPED[y["name"]]} for y in x],
            r"in the same order.*in train they are \('person', 'drier', .*"
            r"in val \('drier', 'person'",
        ),
        (
            lambda x: [{**y, "name": y["name"][:5]} for y in x],
            "'person' is only in train.*'tooth' is only in val",
        ),
    ],
)
def test_classes_that_differ_between_splits_are_named(
    change, message, tmp_path
):
    coco(tmp_path, train=lambda x: x, val=change)
    if message is None:
        data = read_training_data(tmp_path, tmp_path / "split.json")
        assert data.train.class_names == data.val.class_names
        assert "3 pictures of train are in val, too" in str(data)
        return
    with pytest.raises(AnnotationError, match=message):
        read_training_data(tmp_path, tmp_path / "split.json")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            {"train": {"cat": 1, "dog": 1}, "val": {".": 1}},
            "Then val must be a",
        ),
        (
            {"train": {"cat": 1, "dog": 1}, "more": {".": 1}},
            "Then more must be",
        ),
        (
            {"train": {".": 1}, "val": {".": 1}},
            "Received: train, val, names of",
        ),
        ({"images": {".": 1}, "labels": {"a": 1}}, "Received: images, labels"),
    ],
)
def test_folders_of_pictures_that_are_no_classes_are_refused(
    classes, message, tmp_path
):
    folders(tmp_path, **classes)
    with pytest.raises(AnnotationError, match=message):
        find_splits(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    scandir = os.scandir

    def refuse(path):
        if path.name == "train":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(finding.os, "scandir", refuse)
    with pytest.raises(AnnotationError, match="train can't be read: Perm"):
        find_splits(tmp_path)


def test_a_layout_of_one_s_own(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "LAYOUTS", dict(finding.LAYOUTS))
    data = read_split(coco(tmp_path, train=lambda x: x), "train")

    def find(folder):
        place = folder / "mine.txt"
        return {"train": lambda **_: data} if place.is_file() else {}

    register_layout("mine.txt", find)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.txt").write_text("")
    found = find_splits(tmp_path / "mine")
    assert found.layout == "mine.txt" and found.undivided == "train"
    assert read_split(tmp_path / "mine", "Train") is data
    for wrong in (("", find), (3, find), ("x", None)):
        with pytest.raises(ValueError, match="must be a text, and `find`"):
            register_layout(*wrong)


def test_the_page_on_data_folders_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(finding, "LAYOUTS", dict(finding.LAYOUTS))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    coco(tmp_path / "FOLDER", train=lambda x: x)
    path = tmp_path / "FOLDER" / "train.json"
    path.write_text(path.read_text().replace('_id": 89', '_id": 90'))
    root = pathlib.Path(__file__).parents[3]
    text = (root / "docs" / "data.md").read_text()
    assert text.count("\n") < 150
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
    assert "Data: FOLDER: NAME.json beside a folder" in capsys.readouterr().out
    assert (tmp_path / "run" / "split.json").is_file()
    path.rename("FOLDER/boxes.json")
    assert "among the pictures" in find_splits("FOLDER").layout
    for place in re.findall(r"`((?:keras_vtr|examples)/\S+)`", text):
        assert (root / place).exists(), place
