"""Tiles of large pictures: each object is found once, with its true box."""

import numpy as np
import pytest

import keras_vtr
from keras_vtr import detect
from keras_vtr.detections import Tiles
from keras_vtr.detections import encode_masks
from tests.data import picture_files as pictures
from tests.tiny_models import color_detr
from tests.tiny_models import pixels

SHAPE = (100, 130, 1)
TILES = Tiles(size=(32, 40), overlap=0.25, batch_size=5)


def find_gray(batch, label=lambda value: 0):
    """Finds what it sees of objects, each of a gray of its own, exactly."""
    found = []
    for image in batch[..., 0]:
        grays = [x for x in np.unique(image) if x]
        masks = np.array([image == x for x in grays], bool)
        masks = masks.reshape(-1, *image.shape)
        found.append(
            {
                "boxes": np.reshape([box_of(x) for x in masks], (-1, 4)),
                "scores": np.array(grays, "float32") / 256,
                "labels": np.array([label(x) for x in grays], "int32"),
                "masks": masks,
            }
        )
        found[-1]["boxes"] = found[-1]["boxes"].astype("float32")
    return found


def box_of(mask):
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def scene(*boxes):
    image = np.zeros(SHAPE, "uint8")
    for gray, (left, top, right, bottom) in enumerate(boxes, start=1):
        image[top:bottom, left:right] = gray
    return image


def check_all_found(image, found):
    """As if the picture had been small enough to be seen at once."""
    (expected,) = find_gray(image[None])
    order = np.argsort(found["scores"])
    for key in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(found[key][order], expected[key])
        assert found[key].dtype == expected[key].dtype
    masks = np.asarray(found["masks"])
    np.testing.assert_array_equal(masks[order], expected["masks"])


def test_tiles_cover_a_picture_and_share_what_they_must(rng):
    for _ in range(200):
        size, shape = (rng.integers(1, x, 2) for x in (60, 200))
        tiles = Tiles(tuple(size.tolist()), overlap=rng.uniform(0, 0.9))
        places = tiles.places(shape)
        assert (places >= 0).all() and (places[:, [3, 2]] <= shape).all()
        for axis in (0, 1):
            side = min(size[axis], shape[axis])
            begin = np.unique(places[:, 1 - axis])
            assert begin[0] == 0 and begin[-1] == shape[axis] - side
            shared = side - np.diff(begin)
            assert (shared >= min(side - 1, tiles.overlap * side)).all()
            ends = places[:, 3 - axis]
            np.testing.assert_array_equal(ends, places[:, 1 - axis] + side)
        assert len(np.unique(places, axis=0)) == len(places)


@pytest.mark.parametrize(
    "box",
    [
        (38, 2, 44, 8),  # over the edges of two tiles
        (27, 20, 41, 34),  # over a corner of four
        (20, 30, 31, 33),  # one pixel beyond an edge
        (10, 5, 61, 9),  # larger than the overlap
        (3, 3, 125, 98),  # larger than a tile, in both directions
        (0, 0, 130, 100),
    ],
)
def test_an_object_is_found_once_with_its_true_box(box):
    check_all_found(scene(box), TILES.detect(find_gray, scene(box)))


def test_one_object_anywhere_and_of_any_size_is_found_once(rng):
    for _ in range(150):
        x, y = (np.sort(rng.choice(n + 1, 2, False)) for n in (130, 100))
        image = scene((x[0], y[0], x[1], y[1]))
        tiles = Tiles((32, 40), overlap=rng.uniform(0.1, 0.6), batch_size=99)
        check_all_found(image, tiles.detect(find_gray, image))


@pytest.mark.parametrize("side", [4, 9, 16, 26])
def test_a_crowd_of_one_class_without_gaps_stays_a_crowd(side):
    grid = [
        (x, y, min(x + side, 128), min(y + side, 100))
        for x in range(0, 128, side)
        for y in range(0, 100, side)
    ][:255]
    check_all_found(scene(*grid), TILES.detect(find_gray, scene(*grid)))


def test_two_boxes_of_one_tile_are_never_joined():
    """Nor are they if one of them is all that another tile sees."""
    (whole,) = find_gray(scene((25, 5, 35, 15))[None])
    twice = {key: np.concatenate([x, x]) for key, x in whole.items()}
    none = {key: x[:0] for key, x in whole.items()}
    places = np.array([[0, 0, 40, 32], [20, 0, 60, 32]])
    found = Tiles().merge([twice, none], places, (32, 60))
    assert len(found["boxes"]) == 2
    found = Tiles().merge([twice, whole], places, (32, 60))
    assert len(found["boxes"]) == 2


def test_what_two_tiles_call_different_classes_stays_two():
    numbers = iter(range(9))  # the number of the tile that sees it
    image = scene((32, 4, 38, 10))  # within the overlap of the first two
    found = TILES.detect(
        lambda batch: find_gray(batch, lambda gray: next(numbers)), image
    )
    np.testing.assert_array_equal(found["labels"], [0, 1])
    # A part is left to the tile that sees it whole, of whatever class.
    numbers = iter(range(9))
    found = TILES.detect(
        lambda batch: find_gray(batch, lambda gray: next(numbers)),
        scene((20, 4, 33, 10)),
    )
    np.testing.assert_array_equal(found["labels"], [0])


def test_sides_come_from_the_tile_that_sees_them_best():
    places = np.array([[0, 0, 40, 32], [20, 0, 60, 32]])
    boxes = ([[22, 5, 33, 15]], [[23, 6, 34, 16]])
    found = [
        {
            "boxes": np.array(box, "float32"),
            "scores": np.array([score], "float32"),
            "labels": np.array([1], "int32"),
        }
        for box, score in zip(boxes, (0.6, 0.8), strict=True)
    ]
    (one,) = (Tiles().merge(found, places, (32, 60)),)
    # Left from the first tile, right from the second, the rest from the surest.
    np.testing.assert_array_equal(one["boxes"], [[22, 6, 34, 16]])
    np.testing.assert_array_equal(one["scores"], np.array([0.8], "float32"))
    assert "masks" not in one
    apart = Tiles(threshold=0.9).merge(found, places, (32, 60))
    assert len(apart["boxes"]) == 2


def test_the_whole_picture_adds_what_no_tile_holds():
    def find(batch):
        """Only what is seen whole; of the whole picture, to four pixels."""
        found = find_gray(batch)
        for one in found:
            height, width = batch.shape[1:3]
            boxes = one["boxes"]
            ok = (boxes[:, :2] > 0).all(axis=1)
            ok &= (boxes[:, 2:] < (width, height)).all(axis=1)
            one.update({key: x[ok] for key, x in one.items()})
            if width == SHAPE[1]:
                one["boxes"] = np.round(one["boxes"] / 4) * 4
        return found

    large, small = (5, 6, 119, 90), (121, 9, 127, 17)
    image = scene(large, small)
    without = TILES.detect(find, image)
    np.testing.assert_array_equal(without["boxes"], [small])
    tiles = Tiles((32, 40), whole_picture=True)
    found = tiles.detect(find, image)
    np.testing.assert_array_equal(found["boxes"], [small, [4, 8, 120, 88]])
    # A box that tiles have cut is given its sides, too.
    check_all_found(image, tiles.detect(find_gray, image))


def test_a_picture_no_larger_than_a_tile_is_answered_as_without_tiles():
    detr = color_detr(
        hidden_dim=16,
        num_heads=8,
        masks=True,
        class_names=[f"class {i}" for i in range(7)],
    )
    images = [np.array(pictures.picture(*x)) for x in ((23, 37), (32, 48))]
    options = {"score_threshold": 0.1, "max_detections": 3}
    plain = detect(detr, images, **options)
    tiled = detect(detr, images, tiles=Tiles(whole_picture=True), **options)
    for one, other in zip(plain, tiled, strict=True):
        assert list(one) == list(other)
        assert (
            one["masks"].shape
            == other["masks"].shape
            == (
                len(one["names"]),
                *one["masks"].shape[1:],
            )
        )
        assert one["masks"].any() and isinstance(one["masks"], np.ndarray)
        assert encode_masks(one["masks"]) == encode_masks(other["masks"])
        for key, value in one.items():
            np.testing.assert_array_equal(value, np.asarray(other[key]))

    # In a larger one, each tile is answered as a picture of its own.
    image = np.array(pictures.picture(50, 90))
    tiles = Tiles((32, 48), batch_size=3)
    (found,) = detect(detr, [image], tiles=tiles, score_threshold=0.1)
    expected = tiles.detect(
        lambda batch: detect(detr, batch, score_threshold=0.1), image
    )
    assert len(found["labels"]) > 3
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-3)
    drawn = keras_vtr.visualization.draw_boxes(
        image, found["boxes"], found["labels"], masks=found["masks"]
    )
    assert drawn.size == (90, 50)


@pytest.mark.parametrize(
    "option",
    [
        {"size": 64},
        {"size": (64, 0)},
        {"size": (64.0, 64.0)},
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"batch_size": 0},
        {"threshold": 0},
    ],
)
def test_options_out_of_range_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"`{name}` must be .*{name}="):
        Tiles(**option)


def test_a_model_of_free_size_needs_the_size_of_a_tile(rng):
    detr = color_detr(image_shape=(None, None, 3), padding="published")
    image = pixels(rng, 30, 50, 3)
    options = {"short_side": 32, "longest_side": 32, "score_threshold": 0.0}
    with pytest.raises(ValueError, match=r"size=\(height, width\)\)"):
        detect(detr, [image], tiles=Tiles(), **options)
    (found,) = detect(detr, [image], tiles=Tiles((30, 30)), **options)
    assert len(found["labels"]) > 5
    with pytest.raises(ValueError, match="`max_detections` must be 1"):
        detect(detr, [image], tiles=Tiles((30, 30)), max_detections=0)


def test_a_file_above_the_limits_is_read_on_request(tmp_path):
    path = tmp_path / "large.png"
    pictures.picture(40, 60).save(path)
    detr = color_detr()
    for limit in ("max_pixels", "max_bytes"):
        with pytest.raises(OSError, match=r"more than 99: give .*`max_pixels`"):
            detect(detr, path, **{limit: 99})
    assert len(detect(detr, path, max_pixels=2400)) == 1
