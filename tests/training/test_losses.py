"""Losses by hand."""

import math

import pytest
import torch

from echocast.errors import ExperimentError
from echocast.models.scaling import Scaling
from echocast.training import losses

SCALING = Scaling()


def shaped(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, 1, -1)


def test_cross_entropy_is_summed_over_pixels_and_averaged_over_sequences() -> None:
    # A dry pixel under p = 0.5 costs ln 2; two sequences of two pixels cost 2 ln 2 each.
    made = losses.CrossEntropy()(torch.zeros(2, 1, 1, 1, 2), torch.zeros(2, 1, 1, 1, 2), SCALING)
    assert float(made) == pytest.approx(2 * math.log(2))


def test_balanced_by_hand() -> None:
    loss = losses.Balanced(thresholds=(1.0,), weights=(3.0,))
    # Level 0.5 against dry: 0.5 + 0.25, weight 1; against 1 mm/h (level 0.38350): 0.1165 + 0.01357, weight 3.
    made = loss(shaped(0.0, 0.0), shaped(0.0, 1.0), SCALING)
    assert float(made) == pytest.approx((0.75 + 3 * (0.11650 + 0.11650**2)) / 2, abs=1e-4)


@pytest.mark.parametrize("name", ["cross_entropy", "balanced"])
def test_unseen_pixels_cost_nothing_and_get_no_gradient(name: str) -> None:
    logits = torch.randn(1, 2, 1, 3, 4, requires_grad=True)
    observed = torch.rand(1, 2, 1, 3, 4) * 5
    observed[..., 2:] = torch.nan
    made = losses.make(name=name)(logits, observed, SCALING)
    made.backward()
    assert made.isfinite()
    assert logits.grad is not None
    assert logits.grad[..., 2:].abs().max() == 0
    assert logits.grad[..., :2].abs().min() > 0


def test_wrong_names_and_arguments_are_refused() -> None:
    with pytest.raises(ExperimentError, match="balanced, cross_entropy"):
        losses.make(name="mse")
    with pytest.raises(ExperimentError, match=r"\[loss\] has no key 'weight'; did you mean 'weights'"):
        losses.make(name="balanced", weight=[1.0])
    with pytest.raises(ValueError, match="must increase"):
        losses.Balanced(thresholds=(2.0, 1.0), weights=(1.0, 2.0))
