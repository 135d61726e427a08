"""What pycocotools has computed: averages, and who was matched with whom."""

import numpy as np

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR")


class CocoResult:
    """Precision and recall of an evaluation.

    Args:
        evaluation: pycocotools's `COCOeval` after `evaluate` and `accumulate`,
            with one number of detections.
    """

    def __init__(self, evaluation):
        self._evaluation = evaluation
        # (overlaps from 0.50 on, recalls, classes, sizes); -1 for no object.
        self._precision = evaluation.eval["precision"][..., -1]
        self._recall = evaluation.eval["recall"][..., -1]

    def averages(self, label=None):
        """Dict of `NAMES`, of all classes or of one; NaN without objects."""
        columns = self._evaluation.params.catIds
        columns = np.isin(columns, columns if label is None else [label])
        precision = self._precision[:, :, columns]
        recall = self._recall[:, columns]
        every, *sizes = (precision[..., i] for i in range(4))  # all, small, ...
        parts = (every, every[0], every[5], *sizes, recall[..., 0])
        return {
            name: float(part[part > -1].mean()) if (part > -1).any() else np.nan
            for name, part in zip(NAMES, parts, strict=True)
        }

    def matches(self):
        """Which true object each detection has found, at an overlap of 0.5.

        Returns:
            Dict from the number of a detection, as they were added, to that of
            the true object, or None for a mistake. Detections that don't count,
            those in a crowd or beyond the limit, are missing.
        """
        found = {}
        for image in self._all_sizes():
            if image is None:  # nothing true, nothing found
                continue
            rows = zip(
                image["dtIds"],
                image["dtMatches"][0],
                image["dtIgnore"][0],
                strict=True,
            )
            for number, match, is_ignored in rows:
                if not is_ignored:  # ids begin at 1
                    found[number - 1] = int(match) - 1 if match else None
        return found

    def _all_sizes(self):
        """The rows of pycocotools with all sizes: (class, size, image)."""
        params = self._evaluation.params
        num_images = len(params.imgIds)
        step = num_images * len(params.areaRng)
        for start in range(0, len(params.catIds) * step, step):
            yield from self._evaluation.evalImgs[start : start + num_images]


def named_averages(results, label=None):
    """Averages of several `CocoResult`s, whose keys are prefixes of names."""
    return {
        f"{prefix}{name}": value
        for prefix, result in results.items()
        for name, value in result.averages(label).items()
    }
