"""The loss against its sum, written out."""

import math

import pytest
import torch

from echocast.errors import ExperimentError
from echocast.samples.tensors import IGNORED
from echocast.segmentation import losses


@pytest.mark.parametrize("over", ["cells", "frames"])
def test_the_foreground_counts_three_times_and_cells_without_a_label_nothing(over: str) -> None:
    drawn = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, 6, generator=drawn, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 3, 1, 5, 6), generator=drawn)
    labels[0, 1] = IGNORED
    labels[1, 2, 0, :2] = IGNORED
    total, cells, frames = 0.0, 0, set()
    for b, t, _, y, x in (labels != IGNORED).nonzero().tolist():
        scores = logits[b, t, :, y, x]
        truth = int(labels[b, t, 0, y, x])
        probability = math.exp(scores[truth]) / sum(math.exp(one) for one in scores)
        total += -math.log(probability) * (3 if truth > 0 else 1)
        cells += 1
        frames.add((b, t))
    found = losses.make(name="weighted_cross_entropy", over=over)(logits, labels)
    assert float(found) == pytest.approx(total / (cells if over == "cells" else len(frames)), rel=1e-12)
    assert len(frames) == 5


def test_no_label_at_all_teaches_nothing() -> None:
    logits = torch.randn(1, 1, 2, 3, 3, requires_grad=True)
    loss = losses.make()(logits, torch.full((1, 1, 1, 3, 3), IGNORED))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ExperimentError, match="for segmentation there is weighted_cross_entropy"):
        losses.make(name="balanced")
    with pytest.raises(ExperimentError, match="alpha=-1"):
        losses.make(alpha=-1.0)
