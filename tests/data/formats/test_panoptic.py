"""COCO's panoptic annotations: every pixel belongs to a segment or to none."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_vtr.data import AnnotationError
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_panoptic
from keras_vtr.metrics import CocoAveragePrecision
from tests.annotation_files import SIZES
from tests.annotation_files import content
from tests.annotation_files import write

OPTIONS = {"short_sides": (30,), "longest_side": 60, "length_multiple": 1}


def panoptic(folder, **change):
    """Two images with two segments each, and one without any."""
    (folder / "segments").mkdir(exist_ok=True)
    annotations = []
    for i, (height, width) in enumerate(SIZES):
        pixels = np.zeros((height, width, 3), "uint8")
        info = []
        if i < 2:
            pixels[5:15, 4:24] = (7, 1, 0)  # 263
            pixels[20:, :] = (0, 0, 2)  # 131,072
            info = [
                {"id": 263, "category_id": 1, "bbox": [4, 5, 20, 10]},
                {
                    "id": 131072,
                    "category_id": 90,
                    "bbox": [0, 20, width, height - 20],
                },
            ]
        Image.fromarray(pixels).save(folder / "segments" / f"{i}.png")
        name = f"{i}.png"
        annotations.append(
            {"image_id": i, "file_name": name, "segments_info": info}
        )
    data = {**content(), "annotations": annotations}
    data["categories"][0]["isthing"] = 0
    if change:
        annotations[0]["segments_info"][0].update(change)
    write(folder, json.dumps(data))
    return folder / "data.json", folder / "images", folder / "segments"


def test_panoptic_segments_are_objects_with_masks(tmp_path):
    data = read_panoptic(*panoptic(tmp_path))
    assert [x["labels"].tolist() for x in data.records] == [[0, 2], [0, 2], []]
    assert data.things == [0, 1]
    masks = data.records[0]["masks"].decoded()
    assert masks[0, 5:15, 4:24].all() and masks[0].sum() == 200
    assert masks[1, 20:].all() and masks[1].sum() == 20 * 60
    batches = detection_dataset(data, 3, training=False, masks=True, **OPTIONS)
    ((_, y_true),) = batches.as_numpy_iterator()
    assert y_true["masks"].shape[:2] == (3, 2)
    assert y_true["rles"].shape == (3, 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": 0}, r"segments_info\[0\].id must be another number than 0"),
        ({"id": 131072}, r"segments_info\[1\].id must be another number"),
        ({"category_id": 5}, r"segments_info\[0\].category_id is not listed"),
        ({"bbox": [4, 5, 200, 10]}, r"segments_info\[0\].bbox is not within"),
    ],
)
def test_wrong_segments_are_named(change, reason, tmp_path):
    with pytest.raises(AnnotationError, match=reason):
        read_panoptic(*panoptic(tmp_path, **change))


def test_a_png_outside_of_its_folder_is_refused(tmp_path):
    paths = panoptic(tmp_path)
    data = json.loads(paths[0].read_text())
    for name, reason in (("../0.png", "is outside of"), (7, "is not a file")):
        data["annotations"][1]["file_name"] = name
        paths[0].write_text(json.dumps(data))
        with pytest.raises(AnnotationError, match=f"file_name {reason}"):
            read_panoptic(*paths)


def test_segments_listed_and_not_drawn_and_the_other_way_round(tmp_path):
    paths = panoptic(tmp_path, id=264)
    masks = read_panoptic(*paths).records[0]["masks"]
    message = r"0\.png draws segments that are not listed. Received: id 263"
    with pytest.raises(AnnotationError, match=message):
        masks.decoded()
    pixels = np.array(Image.open(paths[2] / "0.png"))
    pixels[5:15, 4:24] = 0
    Image.fromarray(pixels).save(paths[2] / "0.png")
    with pytest.raises(AnnotationError, match=r"lacks segments.*id 264"):
        masks.decoded()
    Image.fromarray(pixels[1:]).save(paths[2] / "0.png")
    with pytest.raises(AnnotationError, match=r"Received: \(39, 60\)"):
        masks.decoded()
    (paths[2] / "0.png").unlink()
    with pytest.raises(AnnotationError, match=r"0\.png can't be read"):
        masks.decoded()


def test_a_wrong_png_ends_a_training_with_its_name(tmp_path):
    data = read_panoptic(*panoptic(tmp_path, id=264))
    batches = detection_dataset(data, 3, training=False, masks=True, **OPTIONS)
    precision = CocoAveragePrecision(masks=True)

    class Never:
        def predict_on_batch(self, inputs):
            raise AssertionError

    with pytest.raises(ValueError, match=r"0\.png draws segments"):
        precision.evaluate(Never(), batches)
