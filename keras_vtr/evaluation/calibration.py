"""Whether a score of 0.8 is right in 8 of 10 cases."""

import dataclasses

import numpy as np

NUM_BINS = 10


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The reliability of scores, in ten bins of equal width.

    Args:
        counts: (10,) scores in each bin.
        mean_scores: (10,) their mean; NaN for none.
        shares_right: (10,) the share of them that is right; NaN for none.
        error: Expected calibration error: the mean distance of both, weighted
            by the counts, of scores of at least `least_score`; NaN for none.
        least_score: The lowest score that the error is about.
    """

    counts: np.ndarray
    mean_scores: np.ndarray
    shares_right: np.ndarray
    error: float
    least_score: float

    def numbers(self):
        """The fields as lists and numbers."""
        return {
            key: x.tolist() if isinstance(x, np.ndarray) else x
            for key, x in dataclasses.asdict(self).items()
        }


def calibration(scores, is_right, least_score=0.0):
    """Compares scores with how often they are right.

    Guo et al. 2017 for classifiers. Küppers et al. 2020 do so for detectors, by
    score, place and size of a box; here it is by score alone.

    Args:
        scores: (n,) in [0, 1].
        is_right: (n,) bool.
        least_score: Lower scores are in the table and not in the error; a
            multiple of 0.1.

    Returns:
        The `Calibration`.
    """
    bins = np.minimum((np.asarray(scores) * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        mean_scores, shares_right = (
            np.bincount(bins, weights=x, minlength=NUM_BINS) / counts
            for x in (scores, is_right)
        )
    used = (counts > 0) & (np.arange(NUM_BINS) >= least_score * NUM_BINS - 1e-6)
    distances = np.abs(shares_right - mean_scores)[used]
    error = (
        np.average(distances, weights=counts[used]) if used.any() else np.nan
    )
    return Calibration(
        counts, mean_scores, shares_right, float(error), least_score
    )
