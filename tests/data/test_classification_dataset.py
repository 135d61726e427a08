import keras
import numpy as np
import pytest
from PIL import Image

from keras_vtr.data import ClassificationRecords
from keras_vtr.data import RepeatFactorSampling
from keras_vtr.data import batch_paths
from keras_vtr.data import center_crop
from keras_vtr.data import classification_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Seven pictures of different sizes; the picture's number is in blue."""
    folder = tmp_path_factory.mktemp("pictures")
    rng, records = np.random.default_rng(0), []
    for i in range(7):
        pixels = rng.integers(0, 255, (20 + i, 31, 3)).astype("uint8")
        pixels[..., 2] = 10 * i
        path = folder / f"{i}.png"
        Image.fromarray(pixels).save(path)
        row = {"path": str(path), "shape": pixels.shape[:2], "label": i % 3}
        records.append(row)
    return ClassificationRecords(records, ["a", "b", "c"], {})


def numbers_of(images):
    return np.rint(np.asarray(images)[..., 2].mean((1, 2)) / 10).astype(int)


def test_an_epoch_is_a_permutation_of_pieces_with_their_classes(data):
    options = {"training": True, "image_size": (11, 13), "seed": 3}
    batches = classification_dataset(data, 7, **options)
    (one, labels), (other, _) = batches.take(2).as_numpy_iterator()
    assert one.shape == (7, 11, 13, 3) and one.dtype == np.float32
    assert sorted(numbers_of(one)) == list(range(7))
    np.testing.assert_array_equal(labels, numbers_of(one) % 3)
    assert list(numbers_of(one)) != list(numbers_of(other))
    # Two images of the same record are two pieces of it.
    a, b = (x[list(numbers_of(x)).index(0)] for x in (one, other))
    assert abs(a - b).max() > 1


def test_a_run_goes_on_with_the_images_that_it_would_have_had(data):
    options = {"training": True, "image_size": (9, 9), "seed": 1}
    whole = [*classification_dataset(data, 3, **options).take(4)]
    rest = classification_dataset(data, 3, first_batch=2, **options).take(2)
    for (a, b), (c, d) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    names = batch_paths(data, 3, step=3, seed=1)
    paths = [x["path"] for x in data.records]
    assert [paths.index(x) for x in names] == list(numbers_of(whole[3][0]))


def test_images_of_rare_classes_come_again_as_other_pieces(data):
    records = [{**x, "label": int(i == 6)} for i, x in enumerate(data.records)]
    data = ClassificationRecords(records, ["often", "rare"], {})
    sampling = RepeatFactorSampling(data, threshold=4 / 7)  # sqrt(4) times
    assert sampling.num_images == 8
    batches = classification_dataset(
        data, 8, training=True, image_size=(11, 13), sampling=sampling
    )
    images, labels = next(batches.as_numpy_iterator())
    assert sorted(numbers_of(images)) == [*range(7), 6]
    np.testing.assert_array_equal(labels, numbers_of(images) == 6)
    one, other = images[numbers_of(images) == 6]
    assert abs(one - other).max() > 1


def test_crops_and_flips_can_be_left_out(data):
    options = {"training": True, "image_size": (20, 31), "flips": False}
    batches = classification_dataset(data, 7, crop_areas=(1.0, 1.0), **options)
    ((images, _),) = batches.take(1).as_numpy_iterator()
    (place,) = np.flatnonzero(numbers_of(images) == 0)
    with Image.open(data.records[0]["path"]) as picture:
        np.testing.assert_array_equal(images[place], np.asarray(picture))


def test_each_image_is_evaluated_once_as_it_is_served(data):
    batches = classification_dataset(
        data, 4, training=False, image_size=(16, 16)
    )
    assert batches.cardinality() == 2  # else `fit` warns that it ran out
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    assert [len(x) for x in images] == [4, 3]
    np.testing.assert_array_equal(np.concatenate(labels), data.labels)
    layer = center_crop((16, 16))
    for record, image in zip(data.records, np.concatenate(images), strict=True):
        pixels = keras.utils.img_to_array(keras.utils.load_img(record["path"]))
        np.testing.assert_allclose(image, layer(pixels), atol=1e-3)


def test_a_broken_picture_is_named_or_replaced(data, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    bad = {"path": str(tmp_path / "bad.png"), "shape": (5, 5), "label": 2}
    broken = ClassificationRecords([bad, *data.records], ["a", "b", "c"], {})
    options = {"training": True, "image_size": (8, 8)}
    with pytest.raises(Exception, match=r"bad\.png can't be trained on"):
        next(iter(classification_dataset(broken, 8, **options)))
    skipping = classification_dataset(broken, 8, broken="skip", **options)
    with pytest.warns(RuntimeWarning, match=r"bad\.png is skipped"):
        images, labels = next(skipping.as_numpy_iterator())
    np.testing.assert_array_equal(labels, numbers_of(images) % 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a multiple"),
        ({"image_size": (0, 8)}, "`image_size` must be in whole pixels"),
        ({"crop_areas": (0.5, 1.5)}, "`crop_areas` must be two shares"),
        ({"crop_areas": (0.9, 0.5)}, "`crop_areas` must be two shares"),
        ({"broken": "ignore"}, "`broken` must be 'raise' or 'skip'"),
    ],
)
def test_a_wrong_argument_is_refused(data, change, message):
    options = {"batch_size": 2, "image_size": (8, 8), "training": True}
    with pytest.raises(ValueError, match=message):
        classification_dataset(data, **{**options, **change})


def test_no_image_is_no_data_set():
    empty = ClassificationRecords([], ["a", "b"], {})
    with pytest.raises(ValueError, match="at least one image"):
        classification_dataset(empty, 1, training=False, image_size=(8, 8))
