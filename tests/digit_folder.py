"""A folder that `keras-vtr train` learns within seconds."""

import json

import keras
import yaml

from keras_vtr.data import digit_scenes
from keras_vtr.detections import encode_masks

SMALL = {
    "batch_size": 8,
    "epochs": 2,
    "learning_rate": 0.001,
    "backbone_learning_rate": 0.001,
    "num_queries": 16,  # as many as a batch is padded to
    "short_sides": [48, 64],
    "longest_side": 64,
    "crop_short_sides": [64],
    "crop_range": [48, 64],
    "no_flips": True,
    "save_every": 1,
    # Else threads sum the gradients of convolutions in any order.
    "deterministic": True,
}


def write_digits(folder):
    """Digit scenes in COCO's format, and the options in a file."""
    for split, number in (("train", 24), ("val", 8)):
        (folder / split).mkdir()
        rows = {"images": [], "annotations": []}
        scenes = digit_scenes(
            "held_out", batch_size=1, num_scenes=number, masks=True
        )
        for i, (images, y_true) in enumerate(scenes.as_numpy_iterator()):
            picture = keras.utils.array_to_img(images[0], scale=False)
            picture.save(folder / split / f"{i}.png")
            rows["images"].append(
                {"id": i, "file_name": f"{i}.png", "width": 64, "height": 64}
            )
            masks = encode_masks(y_true["masks"][0])
            for box, label, mask in zip(
                y_true["boxes"][0], y_true["labels"][0], masks, strict=True
            ):
                if label >= 0:
                    x, y, w, h = 64 * (box - [*box[2:] / 2, 0, 0])
                    rows["annotations"].append(
                        {
                            "id": len(rows["annotations"]),
                            "image_id": i,
                            "category_id": int(label),
                            "bbox": [float(side) for side in (x, y, w, h)],
                            "segmentation": mask,
                        }
                    )
        rows["categories"] = [{"id": i, "name": f"a {i}"} for i in range(10)]
        (folder / f"{split}.json").write_text(json.dumps(rows))
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder
