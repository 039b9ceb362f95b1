"""The loss of segmentation: cross-entropy in which the foreground counts more, and cells without a label nothing.

>>> import torch
>>> loss = WeightedCrossEntropy(alpha=2.0)
>>> logits, labels = torch.zeros(1, 1, 2, 1, 2), torch.tensor([0, 1]).reshape(1, 1, 1, 1, 2)
>>> round(float(loss(logits, labels) / math.log(2)), 6)  # (1 + 3) / 2 cells
2.0
"""

import math
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from echocast.errors import ExperimentError
from echocast.plugins import construct
from echocast.samples.tensors import IGNORED


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy (nats) of the classes' softmax, times ``1 + alpha`` where the label is not the background.

    Args:
        alpha: how much more the foreground (every class but 0) counts; 0 for the plain cross-entropy.
        over: "cells", the mean over labelled cells; "frames", the sum over the cells of a frame, and the mean of these
            over the frames with labels, as published.

    Source: the trainer behind A. Vieira's slides "Convolutional LSTM for image processing": alpha = 2, a foreground
    weight of 3. Cells without a label are ours: they and frames without any label do not count.
    """

    def __init__(self, *, alpha: float = 2.0, over: Literal["cells", "frames"] = "cells") -> None:
        super().__init__()
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha={alpha}: a foreground that counts less than nothing more; give 0 or above")
        self.alpha, self.over = alpha, over

    def forward(
        self, logits: Float[Tensor, "batch time class y x"], labels: Int[Tensor, "batch time 1 y x"]
    ) -> Float[Tensor, ""]:
        """The loss; 0 where no cell has a label.

        Args:
            logits: of the classes.
            labels: class numbers, `echocast.samples.tensors.IGNORED` where there is no label.
        """
        truth = labels.squeeze(2).flatten(0, 1)
        cost = cross_entropy(logits.flatten(0, 1), truth, ignore_index=IGNORED, reduction="none")
        total = (cost * (1.0 + self.alpha * (truth > 0))).sum()
        known = truth != IGNORED
        count = known.sum() if self.over == "cells" else known.flatten(1).any(dim=1).sum()
        return total / count.clamp(min=1)


_LOSSES: dict[str, type[nn.Module]] = {"weighted_cross_entropy": WeightedCrossEntropy}


def make(*, name: str = "weighted_cross_entropy", **arguments: object) -> nn.Module:
    """A loss by name; raises `ExperimentError` for a wrong name or argument."""
    if name not in _LOSSES:
        raise ExperimentError(f"[loss] name = {name!r}: for segmentation there is {', '.join(sorted(_LOSSES))}")
    try:
        return construct(_LOSSES[name], arguments, where="[loss]", error=ExperimentError)
    except ValueError as bad:
        raise ExperimentError(f"[loss] {bad}") from bad
