"""Masks leave a SavedModel as PNG pictures of each image's own size."""

import functools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.detections import decode_masks
from keras_vtr.detections import decode_segments
from keras_vtr.detections import detect
from keras_vtr.detections.segments import sure_queries
from keras_vtr.detections.segments import things_of
from keras_vtr.models import build_eomt
from keras_vtr.serving import export_detector
from keras_vtr.serving import export_segmenter
from keras_vtr.serving.mask_pictures import draw_object_masks
from keras_vtr.serving.mask_pictures import draw_segments_map
from keras_vtr.serving.signatures import steps_of
from tests.data import picture_files as pictures
from tests.serving.conftest import opened
from tests.tiny_models import color_detr
from tests.tiny_models import randomize
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "panoptic.npz"
SIZES = [(23, 37), (64, 48)]


def compiled(draw):
    """As within a SavedModel: nothing is known of the first axis."""

    def free(x):
        return tf.TensorSpec((None, *x.shape[1:]), x.dtype)

    def run(answer, image_shape, steps):
        tensors = [
            {key: tf.constant(x) for key, x in answer.items()},
            tf.constant(image_shape),
            steps,
        ]
        specs = tf.nest.map_structure(free, tensors)
        function = tf.function(
            lambda *x: draw(*x), input_signature=specs, autograph=False
        )
        return {key: x.numpy() for key, x in function(*tensors).items()}

    return run


@pytest.mark.parametrize("padded", [False, True])
def test_pictures_of_objects_are_decoded_masks(rng, padded):
    logits = rng.normal(size=(2, 3, 6, 8)).astype("float32")
    labels = np.array([[1, 0, -1], [2, -1, -1]], "int32")
    mask = np.ones((2, 24, 32), bool)
    if padded:
        mask[0, 20:] = mask[1, :, 16:] = False
    inputs = {"images": None, "padding_mask": tf.constant(mask)}
    steps = steps_of(inputs if padded else None, tf.constant(SIZES))
    answer = {"labels": labels, "masks": logits}
    found = compiled(draw_object_masks)(answer, SIZES, steps)
    assert set(found) == {"labels", "mask_bytes"}
    expected = decode_masks(logits, SIZES, mask if padded else None)
    for i, j in np.ndindex(labels.shape):
        image_bytes = found["mask_bytes"][i, j]
        if labels[i, j] < 0:
            assert image_bytes == b""
            continue
        pixels = opened(image_bytes)
        assert pixels.dtype == np.uint8 and pixels.shape == SIZES[i]
        np.testing.assert_array_equal(pixels, 255 * expected[i][j])


@pytest.mark.parametrize("seed", [0, 1, 2, 11])  # the last one has no objects
def test_a_picture_of_segments_is_what_is_decoded(seed):
    golden = np.load(GOLDEN)
    outputs = {key: golden[f"{seed}/{key}"] for key in ("logits", "masks")}
    (expected,) = decode_segments(outputs, (40, 56))
    probabilities, masks = map(np.asarray, sure_queries(outputs, 0.85))
    is_thing = things_of(range(91), probabilities.shape[2])
    found = compiled(functools.partial(draw_segments_map, is_thing=is_thing))(
        {"probabilities": probabilities, "masks": masks},
        [(40, 56)],
        steps_of(None, tf.constant([(40, 56)])),
    )
    pixels = opened(found["map_bytes"][0]).astype(int)
    np.testing.assert_array_equal(pixels - 1, expected["segments"])
    num_segments = len(expected["labels"])
    assert (num_segments > 0) == (seed < 11)
    for key, nothing in (("labels", -1), ("scores", 0)):
        row = found[key][0]
        assert row.shape == probabilities.shape[1:2]
        np.testing.assert_allclose(row[:num_segments], expected[key], atol=1e-6)
        assert (row[num_segments:] == nothing).all()


def test_a_bad_row_has_no_masks_and_the_others_have_their_own(tmp_path, rng):
    detr = color_detr(
        hidden_dim=16, num_heads=8, masks=True, padding="published"
    )
    randomize(detr)
    # About half of the pixels are in a mask.
    bias = detr.get_layer("mask_head").output_convolution.bias
    images = {
        "images": rng.uniform(0, 255, (1, 32, 48, 3)),
        "padding_mask": np.ones((1, 32, 48), bool),
    }
    bias.assign(bias - np.median(detr(images)["masks"]))
    path = export_detector(detr, tmp_path / "detr", max_detections=4)
    answer = tf.saved_model.load(path).signatures["serving_default"](
        image_bytes=tf.constant([_png(SIZES[0]), b"bad", _png(SIZES[1])])
    )
    assert answer["ok"].numpy().tolist() == [1, 0, 1]
    assert answer["mask_bytes"].numpy()[1].tolist() == [b""] * 4
    images = [pictures.decoded(_png(size)) for size in SIZES]
    expected = detect(detr, images, score_threshold=0.0, max_detections=4)
    for i, one in zip((0, 2), expected, strict=True):
        masks = [opened(x) > 0 for x in answer["mask_bytes"].numpy()[i]]
        assert 0 < np.mean(masks) < 1
        assert np.mean(np.stack(masks) != one["masks"]) < 1e-3  # rounding


@pytest.mark.slow
def test_a_segmenter_answers_with_one_map_for_each_picture(tmp_path):
    vit = tiny_vit(image_shape=(64, 64, 3), patch_size=16)
    eomt = build_eomt(
        3, vit, num_queries=7, num_query_blocks=1, class_names=["a", "b", "c"]
    )
    randomize(eomt)
    eomt.get_layer("class_head").bias.assign([0.0, 3.0, 0.0, -3.0])
    options = {"score_threshold": 0.3, "things": [1]}
    path = export_segmenter(eomt, tmp_path / "eomt", **options)
    answer = tf.saved_model.load(path).signatures["serving_default"](
        image_bytes=tf.constant([_png(SIZES[0]), b"bad", _png(SIZES[1])])
    )
    answer = {key: x.numpy() for key, x in answer.items()}
    assert answer["ok"].tolist() == [1, 0, 1]
    assert answer["map_bytes"][1] == b"" and (answer["labels"][1] == -1).all()
    for i, size in ((0, SIZES[0]), (2, SIZES[1])):
        image = pictures.decoded(_png(size))
        resized = tf.image.resize(image, (64, 64), antialias=True)
        (expected,) = decode_segments(eomt(resized[None]), size, **options)
        n = len(expected["labels"])
        assert n > 0
        numbers = opened(answer["map_bytes"][i]).astype(int)
        assert np.mean(numbers - 1 != expected["segments"]) < 1e-3
        np.testing.assert_array_equal(
            answer["labels"][i][:n], expected["labels"]
        )
        names = [b"abc"[x : x + 1] for x in expected["labels"]]
        assert answer["label_names"][i][:n].tolist() == names
    config = json.loads((path / "assets" / "config.json").read_text())
    assert config["task"] == "segmentation" and config["things"] == [1]


def test_a_segmenter_has_masks(tmp_path):
    with pytest.raises(ValueError, match=r"must have masks: build it with"):
        export_segmenter(tiny_detr(), tmp_path / "detr")
    detr = color_detr(hidden_dim=16, num_heads=8, masks=True)
    with pytest.raises(ValueError, match=r"score_threshold=1.5"):
        export_segmenter(detr, tmp_path / "detr", score_threshold=1.5)
    assert not (tmp_path / "detr").exists()


def _png(size):
    return pictures.encode(pictures.picture(*size))
