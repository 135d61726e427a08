import numpy as np
import pytest
from PIL import Image

from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_detections
from tests.data import picture_files as pictures

FOUND = {
    "boxes": np.array([[5, 5, 30, 30], [40, 10, 50, 20]], "float32"),
    "labels": np.array([2, 0], "int32"),
    "scores": np.array([0.9, 0.1], "float32"),
    "names": ["dog", None],
}


@pytest.mark.any_backend
def test_everything_found_is_drawn_on_the_upright_picture(tmp_path):
    image_bytes = pictures.turned_jpeg(6, height=60, width=40)
    path = tmp_path / "turned.jpg"
    path.write_bytes(image_bytes)
    upright = pictures.decoded(image_bytes)
    assert upright.shape == (40, 60, 3)
    masks = np.zeros((2, 40, 60), bool)
    masks[1, 12:18, 42:48] = True
    for found in (FOUND, {**FOUND, "masks": masks}):
        expected = draw_boxes(
            upright,
            found["boxes"],
            found["labels"],
            found["scores"],
            masks=found.get("masks"),
            class_names=[None, None, "dog"],
            score_threshold=0.0,
        )
        for image in (path, str(path), Image.open(path), upright):
            picture = draw_detections(image, found)
            np.testing.assert_array_equal(picture, expected)


@pytest.mark.any_backend
def test_grays_of_16_bits_become_those_of_8(tmp_path):
    grays = np.arange(0, 65536, 256, dtype="uint16").reshape(16, 16)
    Image.fromarray(grays).save(tmp_path / "gray.png")
    nothing = {key: x[:0] for key, x in FOUND.items()}
    drawn = np.asarray(draw_detections(tmp_path / "gray.png", nothing))
    np.testing.assert_array_equal(drawn[..., 0], grays >> 8)


@pytest.mark.any_backend
def test_nothing_found_leaves_the_picture_as_it_is():
    nothing = {key: x[:0] for key, x in FOUND.items()}
    image = np.full((5, 7, 3), 9, "uint8")
    np.testing.assert_array_equal(draw_detections(image, nothing), image)
