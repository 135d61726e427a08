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
    assert sorted(find_splits(tmp_path).splits) == sorted(names)
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
        ({"train": ["a", "b"]}, "a is not a folder"),
        ({"train": []}, "`train` must each name a folder"),
        ({"train": ["a", 3]}, "`train` must each name a folder"),
        ({"train": "train.txt"}, r"train.txt can't be read"),
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


def test_data_yaml_names_lists_and_several_folders(tmp_path):
    yolo(tmp_path / "a")
    yolo(tmp_path / "a" / "train" / "images" / "deep" / "er", ("val",))
    (tmp_path / "a" / "list.txt").write_text(
        "./train/images/a.png\n\n../a/val/images/a.png\n"
    )
    for value, number in (
        ("train/images", 2),  # and the folders within
        ("val/images", 1),
        (["val/images", "train/images"], 3),
        ("list.txt", 2),
        (["list.txt", "val/images"], 3),
        (str(tmp_path / "a" / "list.txt"), 2),
    ):
        lines = {"names": ["cat", "dog"], "train": value}
        (tmp_path / "a" / "data.yaml").write_text(json.dumps(lines))
        data = read_split(tmp_path / "a", "train")
        assert len(data) == data.num_boxes == number, value
    # Of two pictures, the one beside the list or the one below `path`.
    yolo(tmp_path / "a" / "lists", ("train",))
    lines = {"names": ["cat", "dog"], "train": "lists/list.txt"}
    (tmp_path / "a" / "data.yaml").write_text(json.dumps(lines))
    for start, place in (("./", "lists/train"), ("", "train")):
        line = f"{start}train/images/a.png"
        (tmp_path / "a" / "lists" / "list.txt").write_text(line)
        (record,) = read_split(tmp_path / "a", "train").records
        assert record["path"] == str(tmp_path / "a" / place / "images/a.png")
    lines = {"path": str(tmp_path / "a"), "train": "list.txt"}
    (tmp_path / "data.yaml").write_text(
        json.dumps({"names": ["a", "b"]} | lines)
    )
    assert len(read_split(tmp_path, "train")) == 2
    (tmp_path / "a" / "list.txt").write_text("./train/images/b.png")
    with pytest.raises(AnnotationError, match=r"b\.png does not exist"):
        read_split(tmp_path, "train")
    (tmp_path / "a" / "list.txt").write_text("\n")
    with pytest.raises(AnnotationError, match=r"list\.txt lists no picture"):
        read_split(tmp_path, "train")


def roboflow(folder, **category_ids):
    """Roboflow's export; of each split the first annotation's category."""
    for split, number in category_ids.items():
        coco(folder / split / "_annotations.coco.json", folder / split)
        data = content()
        data["categories"] = [
            {"id": 0, "name": "pets", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "pets"},
            {"id": 2, "name": "pets", "supercategory": "pets"},
        ]
        for row in data["annotations"]:
            row["category_id"] = 2
        data["annotations"][0]["category_id"] = number
        text = json.dumps(data)
        (folder / split / "_annotations.coco.json").write_text(text)
    return folder


def test_roboflow_s_root_is_no_class_unless_one_split_uses_it(tmp_path):
    folder = roboflow(tmp_path / "unused", train=1, valid=2)
    for name in ("train", "val"):
        data = read_split(folder, name)
        assert data.class_names == ("cat", "pets")
        assert data.category_ids == (1, 2) and not data.remarks
        assert "'pets' of id 0 is no class, but the root" in data.notes[0]
    folder = roboflow(tmp_path / "used", train=1, valid=0)
    for name in ("train", "val"):
        data = read_split(folder, name)
        assert data.class_names == ("pets", "cat", "pets") and not data.notes


def voc(folder, **lists):
    """Four pictures, a class each of three, and the lists of splits."""
    (folder / "JPEGImages").mkdir(parents=True)
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name, label in {"a": "dog", "b": "cat", "c": "cow"}.items():
        Image.new("RGB", (30, 20)).save(folder / "JPEGImages" / f"{name}.png")
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><size><width>30"
            "</width><height>20</height></size><object><name>"
            f"{label}</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax>"
            "<ymax>9</ymax></bndbox></object></annotation>"
        )
    Image.new("RGB", (30, 20)).save(folder / "JPEGImages" / "d.png")
    for name, text in lists.items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    return folder


def test_voc_s_splits_have_the_classes_of_all(tmp_path):
    folder = voc(tmp_path / "lists", train="b\na 1\n", val="c\n", trainval="")
    train, val = (read_split(folder, x) for x in ("train", "val"))
    assert train.class_names == val.class_names == ("cat", "cow", "dog")
    assert [x["labels"].tolist() for x in train.records] == [[0], [2]]
    assert val.records[0]["labels"].tolist() == [1] and not val.remarks
    whole = voc(tmp_path / "trainval", trainval="a\nb\n", test="c\n")
    found = find_splits(whole)
    assert sorted(found.splits) == ["test", "train"]
    assert found.undivided == "train" and "Pascal VOC" in str(found)
    assert len(read_split(whole, "train")) == 2
    data = read_split(voc(tmp_path / "none"), "train")
    assert len(data) == 3
    assert (
        "1 pictures have no XML file and are not read, such as d.png"
        in (data.remarks[0])
    )
    with pytest.raises(AnnotationError, match="boxes without outlines"):
        read_split(whole, "train", masks=True)
    for lists, message in (
        ({"train": "lost\na", "val": "b"}, r"Missing: lost.xml, and 0 more"),
        ({"train": "\n"}, "train.txt lists no picture"),
        ({"test": "a"}, "must have train.txt or trainval.txt, too"),
    ):
        with pytest.raises(AnnotationError, match=message):
            read_split(voc(tmp_path / message[:7], **lists), "train")


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
