"""What annotation files mean is read; what they can't mean is refused."""

import json
import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from keras_vtr.data import AnnotationError
from keras_vtr.data import detection_dataset
from keras_vtr.data import inspect_records
from keras_vtr.data import read_coco
from keras_vtr.data import read_voc
from keras_vtr.data import read_yolo
from tests.annotation_files import broken
from tests.annotation_files import content
from tests.annotation_files import write

VOC = """<annotation><filename>a.png</filename><size><width>30.0</width>
<height>20</height></size><object><name>{0}</name><bndbox><xmin>{1}</xmin>
<ymin>1.0</ymin><xmax>{2}</xmax><ymax>5</ymax></bndbox></object></annotation>"""
OPTIONS = {
    "short_sides": (20,),
    "longest_side": 48,
    "crop_short_sides": (30,),
    "crop_range": (15, 30),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """COCO's files, which tests write once more."""
    return write(tmp_path_factory.mktemp("coco"), content())


def coco(places, data, **options):
    annotations, images = places
    annotations.write_text(json.dumps(data))
    return read_coco(annotations, images, **options)


def yolo(folder, labels, pictures=("a.png",)):
    """Folders of labels and pictures; `labels` are texts by name."""
    for name in ("labels", "images"):
        (folder / name).mkdir()
    for name, text in labels.items():
        text = text if isinstance(text, bytes) else text.encode()
        (folder / "labels" / name).write_bytes(text)
    for name in pictures:
        Image.new("RGB", (30, 20)).save(folder / "images" / name)
    return folder / "labels", folder / "images", ["cat", "dog"]


def voc(folder, name="cat", left="1", right="5"):
    (folder / "a.xml").write_text(VOC.format(name, left, right))
    Image.new("RGB", (30, 20)).save(folder / "a.png")
    return folder, folder


@pytest.mark.parametrize("value", [0, 0.0, "0", "False", False, None])
def test_what_is_no_crowd_is_learned(value, places):
    data = coco(places, broken(annotations__0__iscrowd=value))
    assert data.num_boxes == 3 and len(data.records[0]["crowd_boxes"]) == 1


@pytest.mark.parametrize("value", [1, 1.0, "1", "true", True])
def test_a_crowd_is_kept_apart_however_it_is_written(value, places):
    data = coco(places, broken(annotations__0__iscrowd=value))
    assert data.num_boxes == 2 and len(data.records[0]["crowd_boxes"]) == 2


def test_whole_numbers_may_be_written_otherwise(places):
    change = {"images__0__width": "60", "images__0__height": 40.0}
    change |= {"images__0__id": "0", "annotations__0__image_id": 0.0}
    change |= {"annotations__0__category_id": "90", "categories__0__id": 90.0}
    data = coco(places, broken(**change))
    assert data.category_ids == (1, 89, 90) and data.num_boxes == 3
    assert data.records[0]["shape"] == (40, 60)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("annotations__0__iscrowd", float("nan"), "iscrowd must be 0 or 1"),
        ("annotations__0__iscrowd", "maybe", "iscrowd must be 0 or 1. .*maybe"),
        ("annotations__0__area", -3, r"area must be a number of pixels.*: -3"),
        ("annotations__0__area", "NaN", "area must be a number of pixels"),
        ("annotations__0__id", True, r"\[0\].id must be a whole number.*True"),
        ("annotations__1__id", "0", "is the id of an earlier one"),
        ("annotations__0__category_id", True, "category_id must be a whole"),
        ("annotations__0__category_id", float("nan"), "must be a whole number"),
        ("images__0__id", 1.0, "is the id of an earlier one. Received: 1"),
        ("images__0__width", 60.5, "width must be a whole number of pixels"),
        ("images__0__width", True, "width must be a whole number of pixels"),
        ("images__0__file_name", ["0.png"], "is not a file name"),
        ("images__0__file_name", " ", "is not a file name"),
        ("categories__1__name", "", r"name must be a text that isn't blank"),
        ("categories__1__name", None, r"\(id 1\).name must be a text"),
        ("categories__1__name", 7, r"name must be a text"),
    ],
)
def test_values_of_another_type_are_refused(field, value, message, places):
    for invalid in ("raise", "drop", "clip"):
        with pytest.raises(AnnotationError, match=message):
            coco(places, broken(**{field: value}), invalid=invalid)


EDGE = [60, 5, 0.9, 5]  # in an image that is 60 wide


@pytest.mark.parametrize("box", [EDGE, [-0.9, 5, 0.9, 5], [5, 40, 5, 0.5]])
def test_a_box_is_cut_to_its_image_before_its_area_is_judged(box, places):
    change = broken(annotations__0__bbox=box)
    with pytest.raises(AnnotationError, match=r"bbox has no area"):
        coco(places, change)
    assert coco(places, change, invalid="drop").dropped == {"has no area": 1}


def test_an_edge_box_of_yolo_and_voc_has_no_area_either(tmp_path):
    places = yolo(tmp_path, {"a.txt": "0 1.015 0.5 0.03 0.2"})
    with pytest.raises(AnnotationError, match="line 1 has no area"):
        read_yolo(*places)
    with pytest.raises(AnnotationError, match="bndbox has no area"):
        read_voc(*voc(tmp_path, left="31", right="31"))


def test_what_stands_over_by_less_than_a_pixel_ends_at_the_edge(places):
    data = coco(places, broken(annotations__0__bbox=[-0.5, 5, 60.9, 35.4]))
    assert data.records[0]["boxes"][0].tolist() == [0, 5, 60, 40]
    assert data.clipped == 0


def test_boxes_can_be_cut_to_their_images(places):
    change = broken(annotations__0__bbox=[50, -5, 20, 15])
    change["annotations"][0]["area"] = 290
    change["annotations"][1]["bbox"] = [70, 0, 5, 5]
    data = coco(places, change, invalid="clip")
    assert data.records[0]["boxes"].tolist() == [[50, 0, 60, 10]]
    assert data.records[0]["areas"].tolist() == [100]
    assert data.dropped == {"has no area": 1} and data.clipped == 1
    assert str(data).endswith("left out: 1 has no area, clipped: 1")
    problems = inspect_records(data, read_images=False)["problems"]
    assert "cut to their images: 1 boxes" in problems


def test_the_least_box_that_is_read_survives_all_that_is_done(places):
    data = broken(annotations__0__bbox=[59.9999, 39.9999, 1, 1])
    data["annotations"] = data["annotations"][:1]
    data = coco(places, data)
    data.records = data.records[:1]
    batches = detection_dataset(data, 1, training=True, seed=0, **OPTIONS)
    for _, y_true in batches.take(24).as_numpy_iterator():
        boxes = y_true["boxes"][y_true["labels"] >= 0]
        assert (boxes[:, 2:] > 0).all()


def test_nothing_found_is_an_error_and_not_nothing_there(places):
    annotations, images = places
    with pytest.raises(
        AnnotationError, match="lost is not a folder of pictures"
    ):
        read_coco(annotations, images.parent / "lost", invalid="drop")
    with pytest.raises(AnnotationError, match=r"no picture.*3 does not exist"):
        data = content()
        annotations.write_text(json.dumps(data))
        read_coco(annotations, images.parent, invalid="drop")
    with pytest.raises(AnnotationError, match="it names no picture at all"):
        coco(places, {"images": [], "annotations": [], "categories": []})


@pytest.mark.parametrize("kind", ["none", "crowds"])
def test_a_set_without_a_box_is_read_and_shown_but_not_learned(kind, places):
    data = content()
    crowds = [{**x, "iscrowd": 1} for x in data["annotations"]]
    data["annotations"] = crowds if kind == "crowds" else []
    data = coco(places, data)
    problems = inspect_records(data, read_images=False)["problems"]
    assert problems[0].startswith("no box to learn: ")
    with pytest.raises(ValueError, match=r"at least one box.*0 boxes"):
        detection_dataset(data, 1, training=True)


def test_names_of_files_are_matched_as_they_are_meant(places):
    _, images = places
    (images / "sub").mkdir(exist_ok=True)
    composed = unicodedata.normalize("NFC", "ä.png")
    for name in ("sub/0.png", composed):
        (images / name).write_bytes((images / "0.png").read_bytes())
    for name, found in (
        ("sub\\0.png", "sub/0.png"),
        (unicodedata.normalize("NFD", composed), composed),
        ("./sub/../0.png", "0.png"),
        (" 0.png", "0.png"),
        (str(images / "0.png"), "0.png"),
    ):
        data = coco(places, broken(images__0__file_name=name))
        assert data.records[0]["path"] == str(images / found)
    for name in ("..\\..\\x.png", "sub/../../x.png", str(images) + "2/x.png"):
        with pytest.raises(AnnotationError, match="is outside of"):
            coco(places, broken(images__0__file_name=name))


def test_pictures_may_be_links_to_wherever_they_lie(tmp_path):
    places = yolo(tmp_path, {"a.txt": "0 0.5 0.5 0.2 0.2"})
    (tmp_path / "blobs").mkdir()
    os.rename(tmp_path / "images" / "a.png", tmp_path / "blobs" / "5f1c")
    (tmp_path / "images" / "a.png").symlink_to("../blobs/5f1c")
    (record,) = read_yolo(*places).records
    assert record["path"] == str(tmp_path / "images" / "a.png")
    data = content()
    data["images"] = [{**data["images"][0], "file_name": "a.png"}]
    data["annotations"] = data["annotations"][:1]
    (tmp_path / "a.json").write_text(json.dumps(data))
    read_coco(tmp_path / "a.json", tmp_path / "images")


GOOD = "0 0.5 0.5 0.2 0.4"
BOX = [[12, 6, 18, 14]]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf0 0.5 0.5 0.2 0.4",
        "0.0 0.5 0.5 0.2 0.4\r\n",
        "0 0.4 0.3 0.6 0.3 0.5 0.7",
        "0 0.4 0.3 0.6 0.3 0.6 0.7 0.4 0.7",
    ],
)
def test_yolo_writes_a_box_in_several_ways(text, tmp_path):
    (record,) = read_yolo(*yolo(tmp_path, {"a.txt": text})).records
    np.testing.assert_allclose(record["boxes"], BOX, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "pictures", "message"),
    [
        ({"a.TXT": GOOD}, ("a.png",), None),
        ({"a.txt": GOOD, "notes.txt": "by hand"}, ("a.png",), None),
        ({"a.txt": GOOD, "._a.txt": "\0\1"}, ("a.png", "._b.png"), None),
        ({"a\u0308.txt": GOOD}, ("ä.png",), None),
        ({}, ("a.png",), "no text file with the name of a picture.*nothing"),
        ({"classes.txt": "cat"}, ("a.png",), "Received: classes.txt for a.png"),
        ({"a.txt": GOOD}, ("a.png", "a.jpg"), "is not the only one of its"),
        ({"a.txt": GOOD, "a.TXT": ""}, ("a.png",), "is not the only one"),
        ({"a.txt": GOOD}, ("a.bmp",), "is neither JPEG nor PNG.*a.bmp"),
        ({"a.txt": GOOD, "b.txt": GOOD}, ("a.png",), "b.txt has no picture"),
        ({"a.txt": GOOD + " 0.9"}, ("a.png",), "is not a class and a box"),
        ({"a.txt": "0 .1 .1 nan .1 .1 .1"}, ("a.png",), "line 1 is not a box"),
        ({"a.txt": GOOD.encode("utf-16")}, ("a.png",), "a.txt can't be read"),
    ],
)
def test_yolo_files_are_taken_for_what_they_are(
    labels, pictures, message, tmp_path
):
    places = yolo(tmp_path, labels, pictures)
    if message is None:
        (record,) = read_yolo(*places).records
        np.testing.assert_allclose(record["boxes"], BOX, atol=1e-5)
        return
    with pytest.raises(AnnotationError, match=message):
        read_yolo(*places)


def test_what_yolo_can_leave_out_is_counted(tmp_path):
    labels = {"a.txt": GOOD, "b.txt": GOOD, "c.txt": GOOD, "d.txt": GOOD}
    pictures = ("a.png", "b.png", "b.jpg", "c.bmp")
    data = read_yolo(*yolo(tmp_path, labels, pictures), invalid="drop")
    assert len(data) == 1 and data.dropped == {
        "has no picture": 1,
        "is not the only one of its name": 2,
        "is neither JPEG nor PNG": 1,
    }


def test_folders_that_are_not_there_are_named(tmp_path):
    labels, images, names = yolo(tmp_path, {"a.txt": GOOD})
    for places in ((labels / "trian", images), (labels, images / "trian")):
        with pytest.raises(AnnotationError, match="trian is not a folder"):
            read_yolo(*places, names, invalid="drop")
    with pytest.raises(AnnotationError, match="trian is not a folder"):
        read_voc(labels / "trian", images)


def test_voc_reads_numbers_and_refuses_objects_without_a_name(tmp_path):
    (record,) = read_voc(*voc(tmp_path)).records
    assert record["boxes"].tolist() == [[0, 0, 5, 5]]
    with pytest.raises(AnnotationError, match=r"object\[0\].name must be a te"):
        read_voc(*voc(tmp_path, name=""))
    with pytest.raises(ValueError, match="must differ"):
        read_voc(*voc(tmp_path), class_names=["cat", "cat"])
    data = read_voc(*voc(tmp_path), class_names={1: "cat", 0: "dog"})
    assert data.records[0]["labels"].tolist() == [1]


def test_two_classes_of_one_name_are_both_counted(places):
    data = coco(places, broken(categories__2__name="toothbrush"))
    report = inspect_records(data, read_images=False)
    assert report["classes"] == {
        "person": 0,
        "toothbrush (class 1)": 1,
        "toothbrush (class 2)": 2,
    }
    assert "2 classes are called 'toothbrush'" in report["problems"]
