"""Detection: boxes, and masks, of objects."""

import pathlib

from keras_vtr.callbacks import DetectionPictures
from keras_vtr.command_line.run_folder import score_thresholds
from keras_vtr.command_line.tasks import detectors
from keras_vtr.command_line.tasks.sizes import READABLE_SIDE
from keras_vtr.command_line.tasks.sizes import enlargement
from keras_vtr.command_line.tasks.sizes import picture_size
from keras_vtr.command_line.tasks.sizes import scales
from keras_vtr.data import check_dataset
from keras_vtr.data import detection_dataset
from keras_vtr.data.augmentation import CROP_RANGE
from keras_vtr.data.augmentation import CROP_SHORT_SIDES
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.inspection import too_many_boxes
from keras_vtr.detections import Tiles
from keras_vtr.detections import detect
from keras_vtr.detections import encode_masks
from keras_vtr.evaluation import evaluate_detector
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.serving import export_detector
from keras_vtr.visualization import draw_detections

# With --tiles: nearly what TensorFlow decodes, 2**29 values of a color PNG.
LIMITS = {"max_bytes": 2**30, "max_pixels": 2**27}
SIDES = {
    "short_sides": [*SHORT_SIDES],
    "crop_short_sides": [*CROP_SHORT_SIDES],
    "crop_range": [*CROP_RANGE],
    "longest_side": LONGEST_SIDE,
}


class Detection:
    """Trains and uses a detector.

    Args:
        config: The options of the training.
        folder: Of the run, where it is read.
    """

    name = "detection"
    # The options that it takes and another task does not.
    training = (
        *SIDES,
        "backbone_learning_rate",
        "use_ema",
        "num_queries",
        "no_groups",
        "masks",
    )
    use = (
        "thresholds",
        "score_threshold",
        "max_detections",
        "tiles",
        "tile_overlap",
    )
    answers = "detections.json"

    def __init__(self, config, folder=None):
        self.config = config
        self.folder = folder

    @staticmethod
    def defaults(options):
        """Values of the options that were left out."""
        return {x: SIDES[x] for x in SIDES if options.get(x) is None}

    @property
    def monitor(self):
        """What determines the best epoch."""
        return "val_mask_AP" if self.masks else "val_AP"

    @property
    def masks(self):
        """Whether masks are learned."""
        return self.config.get("masks", False)

    def build(self, class_names):
        """The detector, pretrained or with random weights."""
        return detectors.build(class_names, **self.config)

    def batches(self, train, val, first_batch, detr, sampling):
        """Of training, from where the run is, and of validation."""
        config, size = self.config, self.config["batch_size"]
        num_queries = detr.output["boxes"].shape[1]
        _check_queries(train, num_queries)
        same = {
            **scales(config, detr),
            "broken": "skip" if config["skip_broken"] else "raise",
            "masks": self.masks,
        }
        batches = detection_dataset(
            train,
            size,
            training=True,
            seed=config["seed"],
            first_batch=first_batch,
            sampling=sampling,
            crop_short_sides=config["crop_short_sides"],
            crop_range=config["crop_range"],
            flips=not config["no_flips"],
            **same,
        )
        batches = check_dataset(
            batches, num_classes=detr.num_classes, num_queries=num_queries
        )
        return batches, detection_dataset(val, size, training=False, **same)

    def compile(self, detr, steps):
        """The compiled model to train."""
        return detectors.compile_with_recipe(detr, steps, self.config)

    def evaluation(self, seen, detr, folder):
        """Arguments of `fit`, and callbacks that follow each epoch."""
        pictures = DetectionPictures(
            seen,
            folder,
            class_names=detr.class_names,
            scale=enlargement(self.config, detr),
        )
        return {}, [CocoAveragePrecision(data=seen, masks=self.masks), pictures]

    def evaluate(self, detr, data):
        """The report of an evaluation."""
        batches = detection_dataset(
            data,
            self.config["batch_size"],
            training=False,
            masks=self.masks,
            **scales(self.config, detr),
        )
        names = [pathlib.Path(x["path"]).name for x in data.records]
        return evaluate_detector(
            detr, batches, masks=self.masks, image_names=names
        )

    def limits(self, options):
        """Of the files that are read, as arguments of `read_picture`."""
        return {} if options["tiles"] is None else LIMITS

    def predictor(self, detr, options, printer):
        """From a picture to its JSON rows and itself with the boxes."""
        options = {
            "score_threshold": score_thresholds(
                self.folder, detr, options["score_threshold"], 0.5, printer
            ),
            "tiles": _tiles(options["tiles"], options["tile_overlap"]),
            **picture_size(self.config, detr),
        }

        def predict(image):
            (found,) = detect(detr, [image], **options)
            scale = max(1, READABLE_SIDE // max(image.shape))
            picture = draw_detections(image, found, scale=scale)
            return _rows(found), picture

        return predict

    def export(self, detr, folder, options, printer):
        """Publishes the next version."""
        return export_detector(
            detr,
            folder,
            format=options["format"],
            score_threshold=score_thresholds(
                self.folder, detr, options["score_threshold"], 0.0, printer
            ),
            max_detections=options["max_detections"],
            **picture_size(self.config, detr),
        )


def _tiles(side, overlap):
    """The `Tiles` of the options, or None."""
    if side is None and overlap is not None:
        raise ValueError(
            "--tile-overlap needs --tiles, the side of the tiles. Received: "
            f"--tile-overlap {overlap}"
        )
    if side is None:
        return None
    overlap = {} if overlap is None else {"overlap": overlap}
    return Tiles(size=(side, side), **overlap)


def _check_queries(train, num_queries):
    crowded = too_many_boxes(train.records, num_queries)
    if crowded:
        raise ValueError(
            f"{crowded[0]}. Give --num-queries, or leave such images out; "
            f"there are {len(crowded)}."
        )


def _rows(found):
    """The JSON of a picture: boxes are `xyxy` in pixels, masks COCO's RLE."""
    rows = [
        {"name": name, "score": float(score), "box": box.tolist()}
        for name, score, box in zip(
            *(found[x] for x in ("names", "scores", "boxes")), strict=True
        )
    ]
    if "masks" in found:
        masks = encode_masks(found["masks"])
        for row, mask in zip(rows, masks, strict=True):
            row["segmentation"] = mask
    return rows
