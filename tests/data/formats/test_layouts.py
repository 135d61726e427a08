"""Data folders as they lie on disks, ours and others' exports."""

import json

import pytest
from PIL import Image

from keras_vtr.data import AnnotationError
from keras_vtr.data.formats.layouts import find_splits
from keras_vtr.data.formats.layouts import read_split
from tests.annotation_files import content
from tests.annotation_files import write


def coco(annotations, images):
    """COCO's file and pictures at these places."""
    for folder in (annotations.parent, images):
        folder.mkdir(parents=True, exist_ok=True)
    _, pictures = write(images.parent, content())
    if pictures != images:
        for path in pictures.iterdir():
            path.rename(images / path.name)
        pictures.rmdir()
    (images.parent / "data.json").unlink()
    annotations.write_text(json.dumps(content()))


def yolo(folder, splits=("train", "val"), **lines):
    """A data.yaml with what it names."""
    for split in splits:
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        Image.new("RGB", (30, 20)).save(folder / split / "images" / "a.png")
        (folder / split / "labels" / "a.txt").write_text("1 .5 .5 .2 .2")
    content = {split: f"{split}/images" for split in splits} | lines
    content = {"names": {1: "dog", 0: "cat"}, **content}
    (folder / "data.yaml").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("{}.json", "{}"),
        ("{}/_annotations.coco.json", "{}"),
        ("annotations/instances_{}.json", "images/{}"),
        ("annotations/instances_{}.json", "{}"),
    ],
)
@pytest.mark.parametrize("names", [("train", "valid"), ("Train", "Validation")])
def test_exports_in_coco_s_format_are_found(
    annotations, images, names, tmp_path
):
    for name in names:
        place = tmp_path / images.format(name)
        coco(tmp_path / annotations.format(name), place)
    assert sorted(find_splits(tmp_path)) == sorted(names)
    for name in ("train", "val"):
        assert read_split(tmp_path, name).num_boxes == 3


@pytest.mark.parametrize(
    "lines",
    [{}, {"path": "."}, {"train": "../train/images", "nc": 2, "test": None}],
)
def test_data_yaml_names_folders_and_classes(lines, tmp_path):
    yolo(tmp_path, **lines)
    for place in (tmp_path, tmp_path / "data.yaml"):
        data = read_split(place, "train")
        assert data.class_names == ("cat", "dog")
        assert data.records[0]["labels"].tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"names": ["cat", 1]}, r"data.yaml: `class_names` must be.*\[1\]"),
        ({"names": "cat"}, "data.yaml: `class_names` must be"),
        ({"names": None}, "data.yaml: `class_names` must be"),
        ({"nc": 3}, "of the 3 classes.*2 names"),
        ({"train": ["a", "b"]}, "`train` must each name a folder"),
        ({"train": "train.txt"}, "`train` must each name a folder"),
        ({"path": 3}, "must each name a folder. Received: path=3"),
        ({"train": "lost/images"}, "lost/images is not a folder"),
        ({"train": None, "val": None}, "names no folder as train"),
        ({"kpt_shape": [17, 3]}, "is for key points"),
    ],
)
def test_a_data_yaml_that_means_nothing_is_refused(lines, message, tmp_path):
    yolo(tmp_path, **lines)
    with pytest.raises(AnnotationError, match=message):
        read_split(tmp_path, "train")


@pytest.mark.parametrize("text", ["train: [", "- train", "\0"])
def test_a_file_that_is_no_data_yaml_is_refused(text, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(AnnotationError, match=r"can't be read|must hold train"):
        find_splits(tmp_path)


def test_a_folder_without_or_with_two_layouts_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="lost does not exist"):
        read_split(tmp_path / "lost", "train")
    with pytest.raises(AnnotationError, match=r"none of.*with nothing"):
        read_split(tmp_path, "train")
    coco(yolo(tmp_path) / "train.json", tmp_path / "train")
    with pytest.raises(AnnotationError, match=r"NAME.json.* and data"):
        read_split(tmp_path, "train")


def test_a_split_is_found_once_and_has_something_to_learn(tmp_path):
    yolo(tmp_path, ("train",))
    with pytest.raises(AnnotationError, match=r"split 'val' once.*\['train'\]"):
        read_split(tmp_path, "val")
    (tmp_path / "train" / "labels" / "a.txt").write_text("")
    with pytest.raises(AnnotationError, match="no box to learn"):
        read_split(tmp_path, "train")
