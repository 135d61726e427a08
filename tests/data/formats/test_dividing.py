"""The split for validation that is made where there is none."""

import json
import shutil

import numpy as np
import pytest

from keras_vtr.data import AnnotationError
from keras_vtr.data import ClassificationRecords
from keras_vtr.data.formats.dividing import divide
from keras_vtr.data.formats.dividing import write_split

NAMES = ("many", "two", "one")


def records(folder, contents):
    """A data set of files: content and class by name."""
    folder.mkdir(exist_ok=True)
    rows = []
    for name, (content, label) in contents.items():
        (folder / name).write_text(content)
        path = str(folder / name)
        rows.append({"path": path, "shape": (1, 1), "label": label})
    return ClassificationRecords(rows, NAMES, {})


@pytest.fixture
def data(tmp_path):
    many = {f"{i}.png": (f"{i}", 0) for i in range(20)}
    few = {"two.png": ("a", 1), "three.png": ("b", 1), "one.png": ("c", 2)}
    twins = {"twin.png": ("0", 0), "other twin.png": ("0", 0)}
    copies = {f"x.rf.{i}.jpg": (f"x{i}", 0) for i in range(3)}
    return records(tmp_path / "data", many | few | twins | copies)


def test_classes_and_identical_pictures_are_divided_with_care(data, tmp_path):
    path = tmp_path / "run" / "split.json"
    train, val = divide(data, path, seed=3)
    assert sorted(train.paths + val.paths) == sorted(data.paths)
    assert {1} < {*val.labels} and {*train.labels} == {0, 1, 2}
    # Of 20 numbers, 3 others and one source of copies, 4 are 15 % or more.
    assert not path.exists()
    write_split(val, path, seed=3)
    names = [x.rpartition("/")[2] for x in val.paths]
    groups = {x.partition(".rf.")[0].replace("other ", "") for x in names}
    assert len(groups - {"twin.png"}) == 4
    written = json.loads(path.read_text())
    assert written["seed"] == 3 and {*written["val"].values()} <= {*names}
    splits = {
        tuple(divide(data, None, seed=seed)[1].paths) for seed in range(4)
    }
    assert 2 < len(splits) <= 4 and tuple(val.paths) in splits


def test_what_is_one_picture_is_on_one_side(data, tmp_path):
    for seed in range(20):
        _, val = divide(data, None, seed=seed)
        names = {x.rpartition("/")[2] for x in val.paths}
        for alike in (
            {"0.png", "twin.png", "other twin.png"},
            {f"x.rf.{i}.jpg" for i in range(3)},
        ):
            assert alike <= names or not alike & names


def test_a_split_stays_as_it_is_written(data, tmp_path):
    path = tmp_path / "split.json"
    _, val = divide(data, path)
    write_split(val, path)
    train, val_again = divide(data, path, seed=9)
    assert val_again.paths == val.paths
    before = path.read_bytes()
    write_split(train, path, seed=9)
    assert path.read_bytes() == before
    # Elsewhere, with another name and further pictures.
    folder = tmp_path / "moved"
    shutil.copytree(tmp_path / "data", folder)
    moved = {
        str(folder / x.rpartition("/")[2]): y
        for x, y in zip(data.paths, data.labels, strict=True)
    }
    rows = [{"path": x, "shape": (1, 1), "label": y} for x, y in moved.items()]
    more = records(folder, {f"new {i}.png": (f"n{i}", 0) for i in range(9)})
    moved = ClassificationRecords(rows + more.records, NAMES, {})
    train, found = divide(moved, path, seed=9)
    assert [x.rpartition("/")[2] for x in found.paths] == [
        x.rpartition("/")[2] for x in val.paths
    ]
    assert {*more.paths} <= {*train.paths}
    others = records(tmp_path / "others", {"y.png": ("y", 0)})
    assert not divide(others, path)[1].records


@pytest.mark.parametrize("text", ["", "[]", '{"val": {}}', '{"val": ["a"]}'])
def test_another_file_is_no_split(text, data, tmp_path):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"split.json (can't be|must)"):
        divide(data, path)
    assert path.read_text() == text


def test_the_only_pictures_of_their_classes_are_not_divided(tmp_path):
    data = records(tmp_path, {"a": ("a", 0), "b": ("b", 1), "c": ("c", 2)})
    with pytest.raises(AnnotationError, match="a class is the only one"):
        divide(data, None)
    data.records[0]["labels"] = np.array([], "int32")  # nothing to find in it
    with pytest.raises(AnnotationError, match="a class is the only one"):
        divide(data, None)


def test_a_picture_has_the_classes_of_all_its_boxes(tmp_path):
    """Only one of three may go: without the others, a class has no box."""
    data = records(tmp_path, {"a": ("a", 0), "b": ("b", 0), "c": ("c", 0)})
    for record, labels in zip(data.records, ([0], [0, 1], [2, 0]), strict=True):
        record["labels"] = np.array(labels, "int32")
    for seed in range(5):
        _, val = divide(data, None, seed=seed)
        assert val.paths == [str(tmp_path / "a")]
