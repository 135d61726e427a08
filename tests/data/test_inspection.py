import pytest
from PIL import Image

from keras_vtr.data import inspect_records
from keras_vtr.data import read_coco
from tests.annotation_files import broken
from tests.annotation_files import content
from tests.annotation_files import write


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
