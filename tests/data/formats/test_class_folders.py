"""Folders of class folders."""

import pytest

from keras_vtr.data import AnnotationError
from keras_vtr.data import read_class_folders
from tests.data.formats.class_folders import write_class_folders
from tests.data.picture_files import turned_jpeg

PETS = {"dog/b.png": (7, 5), "dog/a.png": (3, 2), "cat/a.PNG": (11, 13)}


def test_pictures_have_the_class_of_their_folder(tmp_path):
    write_class_folders(tmp_path, PETS)
    (tmp_path / "cat" / "b.jpg").write_bytes(turned_jpeg(6))
    for name in ("notes.txt", "dog/Thumbs.db", "dog/._a.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".hidden").mkdir()
    data = read_class_folders(tmp_path)
    assert data.class_names == ("cat", "dog") and not data.remarks
    places = ["cat/a.PNG", "cat/b.jpg", "dog/a.png", "dog/b.png"]
    assert data.paths == [str(tmp_path / x) for x in places]
    shapes = [(13, 11), (37, 23), (2, 3), (5, 7)]  # height, width, upright
    assert [x["shape"] for x in data.records] == shapes
    assert data.labels.dtype == "int32" and data.labels.tolist() == [0, 0, 1, 1]
    assert str(data) == "4 images, 2 classes; left out: none"
    given = read_class_folders(tmp_path, class_names=["dog", "cow", "cat"])
    assert given.labels.tolist() == [0, 0, 2, 2]
    with pytest.raises(AnnotationError, match=r"'cat' is not among.*'cow'"):
        read_class_folders(tmp_path, class_names=["dog", "cow"])
    with pytest.raises(ValueError, match="must differ"):
        read_class_folders(tmp_path, class_names=["dog", "dog"])


@pytest.mark.parametrize(
    ("place", "content", "message", "why"),
    [
        ("cat/b.png", b"", "cat/b.png is not a picture", "is not a picture"),
        ("cat/b.bmp", b"BM", "b.bmp is neither", "is neither JPEG nor PNG"),
        ("b.png", b"", "b.png is in no folder", "is in no folder of a class"),
        ("cow/b.txt", b"", "'cow' has no picture.*b.txt", "has no picture"),
        (
            "cat/more/b.png",
            b"",
            "'cat/more' is a folder with pictures within",
            "is a folder with pictures within that of a class",
        ),
    ],
)
def test_what_is_in_no_class_is_refused_or_left_out_and_counted(
    place, content, message, why, tmp_path
):
    write_class_folders(tmp_path, PETS)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        read_class_folders(tmp_path)
    data = read_class_folders(tmp_path, invalid="drop")
    assert data.dropped == {why: 1} and data.class_names == ("cat", "dog")
    assert len(data) == 3


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["train/a.png", "Validation/b.png"], "Received: Validation, train"),
        (["images/a.png", "masks/a.png"], "Received: images, masks, names of"),
        (["cat/a.png"], r"two classes.*Received: cat, in a folder with cat"),
        ([], "two classes.*Received: none, in a folder with nothing"),
    ],
)
def test_folders_that_are_no_classes_are_refused(places, message, tmp_path):
    write_class_folders(tmp_path, {place: (3, 2) for place in places})
    with pytest.raises(AnnotationError, match=message):
        read_class_folders(tmp_path, invalid="drop")
    with pytest.raises(AnnotationError, match="lost is not a folder"):
        read_class_folders(tmp_path / "lost")


def test_a_class_may_be_called_train(tmp_path):
    write_class_folders(tmp_path, {"train/a.png": (3, 2), "bus/a.png": (3, 2)})
    assert read_class_folders(tmp_path).class_names == ("bus", "train")
