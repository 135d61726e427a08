"""From true and found objects to a report."""

import numpy as np

from keras_vtr.evaluation.calibration import calibration
from keras_vtr.evaluation.confusion import confusion_matrix
from keras_vtr.evaluation.detection_report import DetectionReport
from keras_vtr.evaluation.detection_report import usable_thresholds
from keras_vtr.evaluation.error_kinds import KINDS
from keras_vtr.evaluation.error_kinds import error_costs
from keras_vtr.evaluation.error_kinds import sort_errors
from keras_vtr.evaluation.objects import matched_objects
from keras_vtr.evaluation.pictures import worst_images
from keras_vtr.evaluation.pictures import worst_pictures
from keras_vtr.evaluation.thresholds import best_threshold
from keras_vtr.evaluation.thresholds import curves
from keras_vtr.evaluation.thresholds import resamples
from keras_vtr.metrics.coco_result import named_averages

# Below it are the queries of a detector that answer for nothing.
LEAST_SCORE = 0.1


def analyze(precision, names, image_names, read, sides, num_pictures, seed):
    """The report on what a `CocoAveragePrecision` has collected.

    Args:
        precision: The `CocoAveragePrecision`.
        names: K texts or None.
        image_names: Texts.
        read: From a set of numbers to a dict of pictures, or None for none.
        sides: As of `worst_pictures`.
        num_pictures: Of each kind.
        seed: Of the bootstrap.
    """
    results = precision.results()
    labels = range(len(names))
    objects = matched_objects(precision.tables, results[""], len(names))
    draws = resamples(objects.num_images, seed=seed)
    class_best = [best_threshold(objects, draws, label) for label in labels]
    kept = objects.above(usable_thresholds(class_best))
    errors = sort_errors(kept)
    pictures = {}
    if read is not None:
        worst = worst_images(kept, errors, num_pictures)
        chosen = read({i for some in worst.values() for i in some})
        both = names, image_names
        pictures = worst_pictures(kept, errors, worst, chosen, sides, both)
    return DetectionReport(
        class_names=names,
        num_images=objects.num_images,
        precision=named_averages(results),
        class_precision=[named_averages(results, label) for label in labels],
        best=best_threshold(objects, draws),
        class_best=class_best,
        curves=np.stack([curves(objects, label) for label in labels]),
        error_costs=error_costs(objects, sort_errors(objects)),
        error_counts={x: int(errors.is_kind(x).sum()) for x in KINDS},
        confusion=confusion_matrix(kept),
        calibration=calibration(
            objects.scores, objects.is_right, least_score=LEAST_SCORE
        ),
        pictures=pictures,
    )
