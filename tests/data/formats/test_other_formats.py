"""Pascal VOC and YOLO: the same records as COCO's."""

import keras
import numpy as np
import pytest

from keras_vtr.data import AnnotationError
from keras_vtr.data import read_voc
from keras_vtr.data import read_yolo
from tests.data.picture_files import turned_jpeg

OBJECT = """<object><name>{name}</name><difficult>1</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>
</object>"""


def voc(folder, *objects, name="a.png", head=""):
    rows = "".join(OBJECT.format(*box, name=label) for label, box in objects)
    (folder / "xml").mkdir(exist_ok=True)
    (folder / "xml" / "a.xml").write_text(
        f"{head}<annotation><filename>{name}</filename><size><width>30</width>"
        f"<height>20</height><depth>3</depth></size>{rows}</annotation>"
    )
    return folder / "xml", pictures(folder)


def yolo(folder, text, name="a.txt"):
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / name).write_text(text)
    return folder / "labels", pictures(folder), ["cat", "dog"]


def pictures(folder):
    (folder / "images").mkdir(exist_ok=True)
    picture = keras.utils.array_to_img(np.zeros((20, 30, 3)), scale=False)
    picture.save(folder / "images" / "a.png")
    return folder / "images"


def test_voc_counts_pixels_from_one_and_includes_both_corners(tmp_path):
    data = read_voc(*voc(tmp_path, ("dog", (1, 1, 30, 20)), ("cat", (3,) * 4)))
    (record,) = data.records
    assert record["shape"] == (20, 30) and data.class_names == ("cat", "dog")
    assert record["boxes"].tolist() == [[0, 0, 30, 20], [2, 2, 3, 3]]
    assert record["labels"].tolist() == [1, 0]
    given = read_voc(*voc(tmp_path), class_names=["cow", "dog"])
    assert given.class_names == ("cow", "dog")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "<"}, r"a\.xml can't be read"),
        ({"head": "<!DOCTYPE x [<!ENTITY a 'b'>]>"}, "defines XML entities"),
        ({"name": "../../x.png"}, "filename|file_name is outside of"),
        ({"name": "b.png"}, "file_name does not exist"),
        ({"objects": [("dog", ("?", 1, 2, 2))]}, r"object\[0\].bndbox is not "),
        ({"objects": [("dog", (9, 9, 8, 8))]}, "has no area"),
        ({"objects": [("dog", (9, 9, 99, 18))]}, "is not within its image"),
        (
            {"objects": [("cow", (9, 9, 9, 9))]},
            "is not in `class_names`. Received: 'cow'",
        ),
    ],
)
def test_voc_faults_are_named(arguments, message, tmp_path):
    arguments = dict(arguments)
    places = voc(tmp_path, *arguments.pop("objects", ()), **arguments)
    with pytest.raises(AnnotationError, match=message):
        read_voc(*places, class_names=["dog"])


def test_yolo_boxes_are_relative_centers(tmp_path):
    data = read_yolo(*yolo(tmp_path, "1 0.5 0.5 0.2 0.4\n\n0 0.1 0.1 0.2 0.2"))
    (record,) = data.records
    np.testing.assert_allclose(
        record["boxes"], [[12, 6, 18, 14], [0, 0, 6, 4]], atol=1e-5
    )
    assert record["labels"].tolist() == [1, 0]
    assert data.class_names == ("cat", "dog")


def test_yolo_sizes_are_those_of_the_upright_picture(tmp_path):
    places = yolo(tmp_path, "")
    (tmp_path / "images" / "b.jpg").write_bytes(turned_jpeg(6))
    shapes = [x["shape"] for x in read_yolo(*places).records]
    assert shapes == [(20, 30), (37, 23)]
    (tmp_path / "images" / "c.jpg").write_bytes(b"no picture")
    with pytest.raises(AnnotationError, match=r"is not a picture.*c\.jpg"):
        read_yolo(*places)
    with pytest.raises(
        AnnotationError, match="labels: images is not a picture"
    ):
        read_yolo(*places)
    data = read_yolo(*places, invalid="drop")
    assert len(data) == 2 and data.dropped == {"is not a picture": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0.5 0.5 0.2", "line 1 is not a class and a box"),
        ("0 0.5 0.5 0.2 0.2\ndog 0 0 1 1", "line 2 is not a class and a box"),
        ("2 0.5 0.5 0.2 0.2", "has a class outside of 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "has a class outside of 0 to 1"),
        ("1 15 10 6 8", "is not relative to the image"),
        ("1 0.5 0.5 0 0.2", "has no area"),
        ("1 nan 0.5 0.1 0.2", "is not a box"),
        ("1 0.9 0.5 0.9 0.2", "is not within its image"),
    ],
)
def test_yolo_faults_are_named(text, message, tmp_path):
    with pytest.raises(AnnotationError, match=message):
        read_yolo(*yolo(tmp_path, text))


def test_a_yolo_file_without_its_picture_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"b\.txt has no picture"):
        read_yolo(*yolo(tmp_path, "", name="b.txt"))
