"""Outlines and run-length encodings, from files to batches."""

import numpy as np
import pytest
from pycocotools import mask as rle_of

from keras_vtr.data import AnnotationError
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from keras_vtr.data import read_yolo
from keras_vtr.data.formats.masks import encode
from keras_vtr.data.formats.masks import read_segmentation
from keras_vtr.metrics import CocoAveragePrecision
from tests.annotation_files import content
from tests.annotation_files import write

OPTIONS = {"short_sides": (30,), "longest_side": 60, "length_multiple": 1}


def outline(box):
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def with_masks(**change):
    """The annotated folder's content, each object with its box's outline."""
    data = content()
    for row in data["annotations"]:
        row["segmentation"] = [outline(row["bbox"])]
    data["annotations"][-1]["segmentation"] = {
        "size": [40, 60],
        "counts": [0, 40 * 60],
    }
    data["annotations"][0].update(change)
    return data


def random_mask(rng, shape):
    blobs = np.cumsum(rng.random(shape) < 0.1, axis=rng.integers(2)) % 2
    return (blobs | (rng.random(shape) < rng.random() ** 2)).astype("uint8")


def test_every_form_of_a_run_length_encoding_is_the_same_mask(rng):
    for _ in range(100):
        shape = tuple(int(x) for x in rng.integers(1, 40, 2))
        mask = random_mask(rng, shape)
        mask[0, 0] = 1
        packed = rle_of.encode(np.asfortranarray(mask))["counts"]
        flat = mask.ravel(order="F").astype(int)
        changes = np.flatnonzero(np.diff(flat, prepend=0))
        runs = np.diff([0, *changes, flat.size]).tolist()
        for counts in (runs, packed, packed.decode()):
            value = {"size": list(shape), "counts": counts}
            assert read_segmentation(value, shape) == packed
        np.testing.assert_array_equal(encode([mask]).decoded()[0], mask)


def test_outlines_are_filled_and_several_are_one_object():
    found = read_segmentation(
        [outline((2, 1, 3, 4)), outline((7, 5, 2, 2))], (8, 9)
    )
    mask = rle_of.decode({"size": [8, 9], "counts": found})
    expected = np.zeros((8, 9))
    expected[1:5, 2:5] = expected[5:7, 7:9] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is neither outlines nor"),
        ([], "is neither outlines nor"),
        ([[1, 1, 5, 5]], "fewer than three points"),
        ([[1, 1, 5, 5, 3]], "no list of x, y"),
        ([[1, 1, 5, 5, 3, "a"]], "a value that is no number"),
        ([[1, 1, 5, 5, 3, float("nan")]], "a value that is no number"),
        ([[1, 1, 1e12, 5, 3, 1e12]], "not within its image"),
        ([[1, 1, 1, 1, 1, 1]], "without a pixel"),
        ([[0, 0, 60, 40] * 1000], "longer than any object's"),
        ({"counts": [2400]}, "has no size"),
        ({"size": [60, 40], "counts": [2400]}, "the size 60 x 40 of height"),
        ({"size": [40, 60], "counts": [2400]}, "without a pixel"),
        ({"size": [40, 60], "counts": [0, 2399]}, "runs of other lengths"),
        ({"size": [40, 60], "counts": [0, -5, 2405]}, "runs of other lengths"),
        ({"size": [40, 60], "counts": [0, 10**30]}, "larger than any image"),
        ({"size": [40, 60], "counts": ["x"]}, "no whole numbers"),
        ({"size": [40, 60], "counts": "PPYo1" * 99}, "other lengths"),
        ({"size": [40, 60], "counts": "oooo"}, "no run-length encoding"),
        ({"size": [40, 60], "counts": "\x00"}, "no run-length encoding"),
        ({"size": [40, 60], "counts": ""}, "no run-length encoding"),
        ({"size": [40, 60], "counts": 5}, "has no counts"),
    ],
)
def test_what_is_no_mask_is_named_or_dropped(value, reason, tmp_path):
    paths = write(tmp_path, with_masks(segmentation=value))
    message = rf"data.json: annotations\[0\] \(id 0\).segmentation .*{reason}"
    with pytest.raises(AnnotationError, match=message):
        read_coco(*paths, masks=True)
    data = read_coco(*paths, masks=True, invalid="drop")
    assert sum(data.dropped.values()) == 1 and data.num_boxes == 2
    assert [len(x["masks"]) for x in data.records] == [1, 1, 0]
    assert read_coco(*paths).num_boxes == 3  # nobody asked for masks


def test_outlines_beyond_the_image_are_clipped_if_asked(tmp_path):
    paths = write(tmp_path, with_masks(segmentation=[[-9, 5, 20, 5, 20, 70]]))
    with pytest.raises(AnnotationError, match="not within its image"):
        read_coco(*paths, masks=True)
    data = read_coco(*paths, masks=True, invalid="clip")
    assert data.records[0]["masks"].decoded().shape == (2, 40, 60)


def test_a_dropped_box_takes_its_mask_along(tmp_path):
    paths = write(tmp_path, with_masks(bbox=[5, 5, 0, 10]))
    data = read_coco(*paths, masks=True, invalid="drop")
    (mask,) = data.records[0]["masks"].decoded()
    assert mask[10:30, 30:50].all() and mask.sum() == 400


def test_batches_have_the_masks_of_their_images(tmp_path):
    data = read_coco(*write(tmp_path, with_masks()), masks=True)
    batches = detection_dataset(data, 2, training=False, masks=True, **OPTIONS)
    (inputs, y_true), (_, last) = batches.as_numpy_iterator()
    assert y_true["masks"].shape == (2, 2, *inputs["images"].shape[1:3])
    assert last["masks"].shape == (1, 0, 30, 30)
    assert not (y_true["masks"] & ~inputs["padding_mask"][:, None]).any()
    expected = np.zeros((45, 45), bool)  # of the first image, 30 x 45
    expected[4:11, 4:19] = True
    differ = y_true["masks"][0, 0] != expected
    assert differ.sum() <= 2 * (15 + 8)  # at the edges of 15 x 8 pixels
    assert not y_true["masks"][1, 1].any()  # padding
    masks = rle_of.decode({"size": [40, 60], "counts": y_true["rles"][0, 1]})
    assert masks[10:30, 30:50].all() and masks.sum() == 400
    assert y_true["crowd_rles"].shape == (2, 1) and y_true["rles"][1, 1] == b""


def test_training_batches_keep_masks_in_their_boxes(tmp_path):
    data = read_coco(*write(tmp_path, with_masks()), masks=True)
    batches = detection_dataset(
        data,
        3,
        training=True,
        masks=True,
        short_sides=(24, 30, 40),
        longest_side=60,
        crop_short_sides=(30, 40),
        crop_range=(20, 40),
        size_multiple=8,
    )
    num_objects = 0
    for inputs, y_true in batches.take(20).as_numpy_iterator():
        size = inputs["images"].shape[1:3]
        assert y_true["masks"].shape == (*y_true["labels"].shape, *size)
        assert not y_true["masks"][y_true["labels"] < 0].any()
        for image, target in np.argwhere(y_true["labels"] >= 0):
            real = inputs["padding_mask"][image]
            sides = np.array([real[0].sum(), real[:, 0].sum()] * 2)
            x, y, w, h = y_true["boxes"][image, target] * sides
            rows, columns = np.nonzero(y_true["masks"][image, target])
            found = [columns.min(), rows.min(), columns.max(), rows.max()]
            expected = [x - w / 2, y - h / 2, x + w / 2 - 1, y + h / 2 - 1]
            np.testing.assert_allclose(found, expected, atol=2)
            num_objects += 1
    assert num_objects > 40


def test_exact_answers_score_one_at_the_annotated_size(tmp_path):
    data = read_coco(*write(tmp_path, with_masks()), masks=True)
    batches = detection_dataset(data, 1, training=False, masks=True, **OPTIONS)
    precision = CocoAveragePrecision(masks=True)
    for record, (_, y_true) in zip(data.records, batches, strict=True):
        precision.update_state(
            y_true,
            {
                "boxes": record["boxes"][None],
                "labels": record["labels"][None],
                "scores": np.ones((1, len(record["labels"]))),
                "masks": [record["masks"].decoded()],
            },
        )
    result = precision.result()
    assert result["AP"] == result["mask_AP"] == pytest.approx(1.0)


def test_masks_must_be_read_to_be_learned(tmp_path):
    data = read_coco(*write(tmp_path, with_masks()))
    with pytest.raises(
        ValueError, match="read the annotations with `masks=True`"
    ):
        detection_dataset(data, 1, training=True, masks=True)


def test_yolo_s_outlines_are_masks(tmp_path):
    write(tmp_path, content())
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "0.txt").write_text("1 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75\n")
    arguments = labels, tmp_path / "images", ["a", "b"]
    data = read_yolo(*arguments, masks=True)
    (record,) = (x for x in data.records if len(x["labels"]))
    expected = np.zeros((40, 60), bool)
    expected[10:30, 6:30] = True
    np.testing.assert_array_equal(record["masks"].decoded()[0], expected)
    (labels / "0.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(AnnotationError, match="line 1 is neither outlines"):
        read_yolo(*arguments, masks=True)
    assert read_yolo(*arguments).num_boxes == 1
