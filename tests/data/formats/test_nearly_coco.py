"""JSON that is nearly COCO: a data set, or our error, and nothing else."""

import json
import resource
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_vtr.data import AnnotationError
from keras_vtr.data import read_coco

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -(10**30), "a.png", "\0", "/etc/passwd", 1e39]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
SIDE = st.floats(-2, 40) | st.integers(0, 40) | ANY


OUTLINES = st.lists(st.lists(SIDE | st.floats(), max_size=10) | ANY, max_size=3)
COUNTS = (
    st.lists(st.integers(-5, 700) | ANY, max_size=6)
    | st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=9)
    | st.just("0" * 5000)
)
RLE = st.fixed_dictionaries(
    {
        "size": st.just([20, 30]) | st.lists(SIDE, max_size=3) | ANY,
        "counts": COUNTS | ANY,
    }
)
RIGHT = st.sampled_from(
    [
        [[2, 3, 11, 3, 11, 11]],
        {"size": [20, 30], "counts": [100, 50, 450]},
        {"size": [20, 30], "counts": "T3b1R>"},
    ]
)
SEGMENTATIONS = RIGHT | OUTLINES | RLE | ANY


def rows(**fields):
    row = st.fixed_dictionaries({k: v | ANY for k, v in fields.items()})
    return st.lists(row | ANY, max_size=3) | ANY


NEARLY = st.fixed_dictionaries(
    {
        "images": rows(
            id=st.integers(0, 2),
            file_name=st.just("a.png"),
            width=st.just(30),
            height=st.just(20),
        ),
        "annotations": rows(
            id=st.integers(0, 5),
            image_id=st.integers(0, 2),
            category_id=st.integers(0, 2),
            bbox=st.lists(SIDE, min_size=4, max_size=4),
            iscrowd=st.integers(0, 1),
            area=SIDE,
            segmentation=SEGMENTATIONS,
        ),
        "categories": rows(id=st.integers(0, 2), name=st.text(max_size=3)),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nearly")
    picture = keras.utils.array_to_img(np.zeros((20, 30, 3)), scale=False)
    picture.save(folder / "a.png")
    return folder


@pytest.mark.parametrize("masks", [False, True])
def test_only_our_error_comes_out_in_bounded_memory(masks, folder):
    path = folder / "nearly.json"
    outcomes = set()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=300,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(content=NEARLY | ANY, invalid=st.sampled_from(["raise", "drop"]))
    def check(content, invalid):
        path.write_text(json.dumps(content))
        tracemalloc.start()
        try:
            data = read_coco(path, folder, invalid=invalid, masks=masks)
        except AnnotationError as error:
            assert str(path) in str(error) and len(str(error)) < 1000
            outcomes.add("refused")
            return
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2**22
        outcomes.add("read")
        for record in data.records:
            boxes = np.concatenate([record["boxes"], record["crowd_boxes"]])
            assert np.isfinite(boxes).all()
            assert np.isfinite(record["areas"]).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            assert (record["labels"] < len(data.class_names)).all()
            for kind in ("", "crowd_") if masks else ():
                decoded = record[f"{kind}masks"].decoded()
                assert decoded.shape[1:] == record["shape"]
                assert len(decoded) == len(record[f"{kind}boxes"])

    check()
    assert outcomes == {"read", "refused"}
    # Of the whole process, pycocotools' memory, too, in KiB.
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**18


VALID = {
    "images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}],
    "categories": [{"id": 1, "name": "one"}],
}


def test_segmentations_alone_are_masks_or_our_error(folder):
    """All else being right, so that every example reaches them."""
    path = folder / "segmentations.json"
    outcomes = set()

    @settings(max_examples=300, deadline=None)
    @given(segmentation=SEGMENTATIONS)
    def check(segmentation):
        row = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [2, 3, 9, 8]}
        annotations = [{**row, "segmentation": segmentation}]
        path.write_text(json.dumps({**VALID, "annotations": annotations}))
        try:
            data = read_coco(path, folder, masks=True)
        except AnnotationError as error:
            assert str(path) in str(error) and len(str(error)) < 1000
            outcomes.add("refused")
            return
        outcomes.add("read")
        (record,) = data.records
        assert record["masks"].decoded().shape == (1, 20, 30)

    check()
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"\xff\xfe", b"", b'{"images": [' + b"9" * 9000]
)
def test_what_json_cannot_read_is_our_error_too(text, folder):
    path = folder / "broken.json"
    path.write_bytes(text)
    with pytest.raises(AnnotationError, match="can't be read"):
        read_coco(path, folder)
