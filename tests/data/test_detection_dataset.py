import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import batch_paths
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from keras_vtr.data.pictures.reading import BrokenImages
from tests.annotation_files import content
from tests.annotation_files import write

OPTIONS = {
    "short_sides": (20, 24, 28),
    "longest_side": 48,
    "crop_short_sides": (30, 40),
    "crop_range": (15, 30),
}


@pytest.fixture
def data(tmp_path):
    return read_coco(*write(tmp_path, content()))


def taken(data, number, batch_size=2, **options):
    batches = detection_dataset(
        data, batch_size, training=True, **OPTIONS, **options
    )
    found = list(batches.take(number).as_numpy_iterator())
    assert len(found) == number
    return found


def assert_same(these, those):
    for one, other in zip(these, those, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, one, other)


def test_training_goes_on_at_any_batch_as_if_it_had_not_stopped(data):
    whole = taken(data, 6)
    for start in (0, 1, 4):
        assert_same(taken(data, 6 - start, first_batch=start), whole[start:])


def test_workers_read_their_shares_of_the_same_batches(data):
    options = {"canvas": (48, 48), "batch_size": 4, "first_batch": 3}
    whole = taken(data, 3, **options)
    shares = [
        taken(data, 3, num_workers=2, worker=i, **options) for i in (0, 1)
    ]
    for both, one, other in zip(whole, *shares, strict=True):
        images = [x[0]["images"] for x in (one, other)]
        np.testing.assert_array_equal(np.concatenate(images), both[0]["images"])
        labels = [x[1]["labels"] for x in (one, other)]
        np.testing.assert_array_equal(np.concatenate(labels), both[1]["labels"])


def test_each_pass_has_each_image_once_in_an_order_of_its_own(data):
    data.records *= 20  # 60 images
    for i, record in enumerate(data.records):
        data.records[i] = {**record, "path": i}
    orders = [batch_paths(data, 60, step, seed=3) for step in range(4)]
    for order in orders:
        assert sorted(order) == list(range(60))
    for one, other in itertools.combinations(orders, 2):
        assert one != other
    assert orders[1] == [
        path for i in range(30, 60) for path in batch_paths(data, 2, i, seed=3)
    ]


def test_the_named_images_are_those_of_the_batch(data):
    options = {"crop_range": (48, 49), "short_sides": (20,)}
    batches = detection_dataset(
        data, 1, training=True, **{**OPTIONS, **options}
    )
    batches = list(batches.take(6).as_numpy_iterator())
    assert len(batches) == 6
    for step, (inputs, _) in enumerate(batches):
        (path,) = batch_paths(data, 1, step)
        gray = 50 * (1 + [x["path"] for x in data.records].index(path))
        np.testing.assert_allclose(inputs["images"], gray, atol=0.1)


def test_sizes_are_padded_to_a_multiple_or_a_canvas(data):
    for inputs, _ in taken(data, 6, size_multiple=16):
        assert not np.array(inputs["images"].shape[1:3]) % 16 @ [1, 1]
        assert inputs["padding_mask"].shape == inputs["images"].shape[:3]
        assert (inputs["images"][~inputs["padding_mask"]] == 0).all()
    for inputs, _ in taken(data, 6, canvas=(48, 50)):
        assert inputs["images"].shape == (2, 48, 50, 3)
    with pytest.raises(ValueError, match=r"canvas=\(40, 60\)"):
        taken(data, 1, canvas=(40, 60))


def test_evaluation_has_what_coco_judges_by(data):
    batches = detection_dataset(
        data, 3, training=False, short_sides=(20,), length_multiple=2
    )
    ((_, y_true),) = batches.as_numpy_iterator()
    assert y_true["image_shapes"].tolist() == [[40, 60], [60, 40], [30, 30]]
    assert y_true["areas"].tolist() == [[200, 400], [2400, 0], [0, 0]]
    assert y_true["crowd_labels"].tolist() == [[2, -1], [-1, -1], [-1, -1]]
    np.testing.assert_allclose(y_true["crowd_boxes"][0, 0], [0.5, 0.5, 1, 1])


def test_a_broken_image_is_named(data):
    path = data.records[1]["path"]
    with open(path, "r+b") as file:
        file.truncate(60)
    for training in (True, False):
        batches = detection_dataset(data, 1, training=training, **OPTIONS)
        with pytest.raises(tf.errors.InvalidArgumentError, match=path):
            list(batches.take(3))


@pytest.mark.parametrize("fault", ["truncated", "garbage", "empty", "gone"])
def test_a_broken_image_can_be_skipped_and_is_counted(data, fault, tmp_path):
    picture = tmp_path / "images" / "1.png"
    if fault == "gone":
        picture.unlink()
    else:
        whole = picture.read_bytes()
        pieces = {"truncated": whole[:60], "garbage": b"x" * 99, "empty": b""}
        picture.write_bytes(pieces[fault])
    with pytest.warns(
        RuntimeWarning, match=r"1\.png is skipped, broken image 1"
    ):
        batches = taken(data, 6, broken="skip", batch_size=3)
    assert len(batches) == 6  # and full: others took its place
    for inputs, _ in batches:
        assert (inputs["images"].max(axis=(1, 2, 3)) > 1).all()
    if fault != "gone":  # what follows is the same for all
        return
    with pytest.warns(RuntimeWarning, match="broken image 1: "):
        assert_same(
            taken(data, 2, broken="skip", batch_size=3, first_batch=4),
            batches[4:],
        )
    with pytest.warns(RuntimeWarning, match="broken image 1: "):
        batches = detection_dataset(
            data, 3, training=False, broken="skip", **OPTIONS
        )
        ((inputs, _),) = batches
    assert len(inputs["images"]) == 2


def test_broken_images_are_capped(data):
    for record in data.records[:2]:
        open(record["path"], "w").close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(tf.errors.InvalidArgumentError, match="At most 1 m"):
            taken(data, 3, broken="skip", max_broken=1)
        taken(data, 3, broken="skip", max_broken=2)
        open(data.records[2]["path"], "w").close()
        with pytest.raises(tf.errors.InvalidArgumentError, match="At most 2 m"):
            taken(data, 3, broken="skip")
    with pytest.raises(ValueError, match="Received: 'ignore'"):
        taken(data, 1, broken="ignore")


def test_beyond_the_cap_no_image_is_skipped_any_more():
    # Several are read at once: one that raises must not leave the others
    # looking among pictures that are all known to be broken.
    paths, no_shape = [b"0.png", b"1.png", b"2.png"], np.zeros(2, "int64")
    broken = BrokenImages("skip", 100, {path.decode(): () for path in paths})
    with pytest.warns(RuntimeWarning, match="is skipped"):
        assert not any(broken.report(path, no_shape) for path in paths[:2])
    for path in (paths[2], *paths):
        with pytest.raises(ValueError, match="At most 2 may be skipped"):
            broken.report(path, no_shape)


def test_workers_must_share_a_batch_evenly(data):
    with pytest.raises(ValueError, match="batch_size=3, num_workers=2"):
        taken(data, 1, batch_size=3, num_workers=2)
    with pytest.raises(ValueError, match="worker=2, num_workers=2"):
        taken(data, 1, num_workers=2, worker=2)
    data.records = []
    with pytest.raises(ValueError, match="at least one image"):
        taken(data, 1)


def test_all_images_of_a_batch_are_stretched_to_one_of_the_sizes(data):
    sizes = [(24, 24), (32, 40), (16, 8)]
    options = {**OPTIONS, "image_sizes": sizes}
    batches = detection_dataset(data, 2, training=True, **options)
    shapes = [x.shape for x, _ in batches.take(12).as_numpy_iterator()]
    assert {shape[1:3] for shape in shapes} == set(sizes)
    later = detection_dataset(data, 2, training=True, first_batch=4, **options)
    assert [x.shape for x, _ in later.take(8).as_numpy_iterator()] == shapes[4:]


def test_a_stretched_image_has_its_boxes_relative_to_itself(data):
    sizes = {"image_sizes": [(24, 40)]}
    found = detection_dataset(data, 2, training=False, **sizes)
    assert found.element_spec[0].shape[1:] == (24, 40, 3)
    expected = detection_dataset(data, 2, training=False)
    for (images, y), (_, other) in zip(
        found.as_numpy_iterator(), expected.as_numpy_iterator(), strict=True
    ):
        assert images.shape[1:] == (24, 40, 3)
        for key in ("boxes", "labels", "image_shapes", "areas"):
            np.testing.assert_array_equal(y[key], other[key])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_sizes": [24]}, "must be a list of"),
        ({"image_sizes": [(24, 24)], "size_multiple": 16}, "`size_multiple` 1"),
        ({"image_sizes": []}, "must be a list of"),
        ({"image_sizes": [(24, 24)], "canvas": (32, 32)}, "must be None and"),
    ],
)
def test_wrong_sizes_are_refused(data, change, message):
    with pytest.raises(ValueError, match=message):
        detection_dataset(data, 2, training=True, **{**OPTIONS, **change})
