"""How well scores tell abnormal frames from normal ones, at every threshold: ROC curve, its area, equal error rate.

>>> curve = roc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
>>> curve.area, curve.equal_error_rate
(0.75, 0.5)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from echocast.errors import DataError

COVERED = 0.4
"""The share of the abnormal pixels of a frame that a detection must cover."""


@dataclass(frozen=True)
class Curve:
    """A ROC curve, from no frame found to all, one point for each different score."""

    false_positive_rate: Float[np.ndarray, "points"]
    true_positive_rate: Float[np.ndarray, "points"]

    @property
    def area(self) -> float:
        """The area below it: the chance that an abnormal frame has a higher score than a normal one."""
        return float(np.trapezoid(self.true_positive_rate, self.false_positive_rate))

    @property
    def equal_error_rate(self) -> float:
        """Where as large a share of the normal frames is found as of the abnormal ones is missed."""
        difference = self.false_positive_rate - (1 - self.true_positive_rate)  # it never falls along the curve
        after = int(np.argmax(difference >= 0))
        low, high = difference[after - 1], difference[after]
        part = 0.0 if high == low else -low / (high - low)
        rates = self.false_positive_rate[after - 1 : after + 1]
        return float(rates[0] + part * (rates[1] - rates[0]))


def roc(scores: Float[np.ndarray, "frames"], labels: Shaped[np.ndarray, "frames"]) -> Curve:
    """The ROC curve of frames with scores; those without (NaN) are left out.

    Args:
        scores: higher for more abnormal.
        labels: whether each frame is abnormal.

    Raises:
        DataError: no abnormal frame, or no normal one.
    """
    known = ~np.isnan(scores)
    scores, abnormal = scores[known], np.asarray(labels, bool)[known]
    positives, negatives = int(abnormal.sum()), int((~abnormal).sum())
    if not positives or not negatives:
        raise DataError(
            f"{positives} abnormal and {negatives} normal frames have scores: a ROC curve needs both; give labels of"
            " more sequences"
        )
    order = np.argsort(-scores, kind="stable")
    found, last = abnormal[order], np.append(np.diff(scores[order]) != 0, True)
    true, false = np.cumsum(found)[last] / positives, np.cumsum(~found)[last] / negatives
    return Curve(np.concatenate([[0.0], false]), np.concatenate([[0.0], true]))


def pixel_scores(
    maps: Float[np.ndarray, "frames y x"], masks: Shaped[np.ndarray, "frames y x"], *, covered: float = COVERED
) -> Float[np.ndarray, "frames"]:
    """The highest threshold at which each frame counts as found at pixel level.

    An abnormal frame is found if the pixels above the threshold cover at least `covered` of its abnormal pixels; a
    normal one, wrongly, if any pixel is above it. With the labels ``masks.any((1, 2))`` these scores give the ROC curve
    at pixel level.

    Args:
        maps: the score of each pixel; one that is NaN is never found.
        masks: whether each pixel is abnormal.
        covered: a share above 0 and up to 1.

    Source: Mahadevan et al. 2010, "Anomaly detection in crowded scenes", doi:10.1109/CVPR.2010.5539872.
    """
    found = np.where(np.isnan(maps), -np.inf, maps)
    scores = np.empty(len(maps))
    for number, (values, mask) in enumerate(zip(found, np.asarray(masks, bool), strict=True)):
        inside = values[mask] if mask.any() else values.ravel()
        rank = int(np.ceil(covered * inside.size - 1e-9)) if mask.any() else 1
        scores[number] = np.partition(inside, inside.size - rank)[inside.size - rank]
    return scores
