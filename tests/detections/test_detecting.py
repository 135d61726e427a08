"""Pictures of any kind and size in, boxes in their own pixels out."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vtr
from keras_vtr import detect
from keras_vtr.detections import Tiles
from keras_vtr.detections import decode_detections
from tests.data import picture_files as pictures
from tests.tiny_models import color_detr
from tests.tiny_models import tiny_detr

NAMES = [f"class {i}" for i in range(7)]
FREE = {"image_shape": (None, None, 3), "padding": "published"}


def test_boxes_are_in_the_pixels_of_each_picture():
    detr = color_detr(class_names=NAMES)
    images = [np.array(pictures.picture(*x)) for x in ((23, 37), (90, 60))]
    found = detect(detr, images, score_threshold=0.0)
    for image, one in zip(images, found, strict=True):
        layer = keras.layers.Resizing(
            32, 48, antialias=True, data_format="channels_last"
        )
        resized = layer(image.astype("float32"))
        expected = decode_detections(detr(resized[None]), image.shape)
        for key, value in expected.items():
            np.testing.assert_allclose(
                one[key], keras.ops.convert_to_numpy(value)[0], atol=1e-3
            )
        assert one["names"] == [NAMES[i] for i in one["labels"]]
    few = detect(detr, images[:1], score_threshold=0.0, max_detections=2)
    np.testing.assert_array_equal(few[0]["boxes"], found[0]["boxes"][:2])
    threshold = float(found[0]["scores"][1])
    some = detect(detr, images[:1], score_threshold=threshold)[0]
    assert len(some["scores"]) == len(some["boxes"]) == len(some["names"]) == 2


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({}, {}),
        (FREE, {"short_side": 24, "longest_side": 40}),
        ({"image_shape": (None, None, 3)}, {"image_size": (24, 40)}),
    ],
)
def test_it_answers_as_the_served_model_does(change, options, tmp_path):
    import tensorflow as tf

    detr = color_detr(**change)
    path = keras_vtr.serving.export_detector(detr, tmp_path / "m", **options)
    signatures = tf.saved_model.load(path).signatures
    served = signatures["serving_default"]
    picture = tmp_path / "turned.jpg"
    picture.write_bytes(pictures.turned_jpeg(6, height=30, width=90))
    expected = served(image_bytes=tf.constant([picture.read_bytes()]))
    (found,) = detect(detr, [picture], score_threshold=0.0, **options)
    for key in ("boxes", "scores", "labels"):
        np.testing.assert_allclose(found[key], expected[key][0], atol=1e-3)
    if change:
        return

    def find(batch):
        answer = signatures["images"](images=tf.constant(batch))
        keys = ("boxes", "scores", "labels")
        rows = zip(*(answer[key].numpy() for key in keys), strict=True)
        return [
            {key: x[row[2] >= 0] for key, x in zip(keys, row, strict=True)}
            for row in rows
        ]

    # In tiles, too, which the client makes and merges.
    tiles, image = Tiles(size=(40, 20), batch_size=3), pictures.picture(90, 30)
    expected = tiles.detect(find, np.array(image))
    (found,) = detect(detr, image, tiles=tiles, score_threshold=0.0, **options)
    assert len(found["labels"]) > 5
    for key in ("boxes", "scores", "labels"):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-3)


@pytest.mark.any_backend
def test_paths_pictures_and_arrays_are_the_same(tmp_path):
    detr = color_detr()
    path = tmp_path / "turned.png"
    image = pictures.picture(40, 70)
    image.save(path)
    turned = Image.open(path)
    turned.getexif()[pictures.ORIENTATION_TAG] = 1
    kinds = [path, str(path), image, turned, np.array(image)]
    found = detect(detr, kinds, score_threshold=0.0)
    for one in found:
        np.testing.assert_allclose(one["boxes"], found[0]["boxes"], atol=1e-3)
        assert one["names"] == [None] * 5
    both = detect(detr, np.stack([np.array(image)] * 2), score_threshold=0.0)
    assert len(both) == 2
    assert len(detect(detr, path)) == len(detect(detr, image)) == 1


def test_a_model_of_gray_images_takes_gray_pictures():
    detr = tiny_detr()
    (found,) = detect(detr, [pictures.picture()], score_threshold=0.0)
    assert found["boxes"].shape == (4, 4)


@pytest.mark.any_backend
def test_what_cannot_be_read_is_named_with_its_reason(tmp_path):
    detr = color_detr()
    with pytest.raises(OSError, match=r"missing\.jpg can't be read: .*No such"):
        detect(detr, [tmp_path / "missing.jpg"])
    (tmp_path / "a.gif").write_bytes(pictures.encode(pictures.picture(), "GIF"))
    with pytest.raises(OSError, match=r"a\.gif can't be read: .*but GIF"):
        detect(detr, [tmp_path / "a.gif"])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6)),
        np.zeros((4, 6, 1)),
        np.zeros((3, 4, 6)),
        np.zeros((0, 4, 3)),
        np.zeros((4, 6, 3), bool),
    ],
)
def test_pixels_of_another_shape_are_refused(image):
    with pytest.raises(ValueError, match=r"must be paths.*\(height, width, 3"):
        detect(color_detr(), [image])


def test_a_model_that_is_no_detector_is_refused():
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, keras.layers.Flatten()(images))
    with pytest.raises(ValueError, match="`model` must be a functional detec"):
        detect(model, [])
    with pytest.raises(ValueError, match="needs `image_size`"):
        detect(color_detr(image_shape=(None, None, 3)), [])


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 6, 3), np.nan),
        np.full((4, 6, 3), -1.0),
        np.full((4, 6, 3), 256, "uint16"),
        np.linspace(0, 1, 72).reshape(4, 6, 3),
    ],
)
def test_pixels_of_another_range_are_refused(image):
    with pytest.raises(
        ValueError, match=r"must be in \[0, 255\]. Received: an"
    ):
        detect(color_detr(), [image])


def test_sixteen_bits_are_read_as_from_a_file(tmp_path):
    deep = Image.fromarray(np.arange(0, 60000, 100, "uint16").reshape(20, 30))
    deep.save(tmp_path / "deep.png")
    found = detect(
        color_detr(), [deep, tmp_path / "deep.png"], score_threshold=0.0
    )
    np.testing.assert_allclose(found[0]["boxes"], found[1]["boxes"], atol=1e-2)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (FREE, {"short_side": 0}),
        (FREE, {"longest_side": 2.5}),
        ({"image_shape": (None, None, 3)}, {"image_size": (0, 4)}),
    ],
)
def test_sizes_are_whole_numbers_above_0(change, options):
    with pytest.raises(ValueError, match="must be in whole pixels, 1 or more"):
        detect(color_detr(**change), [], **options)
