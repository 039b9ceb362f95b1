"""Bounds on the area of heavy rain."""

import pytest
import torch

from echocast.models._lagrangian.heavy_rain import bounded, edges_of
from echocast.models._lagrangian.settings import HeavyRainBounds
from echocast.models.scaling import RainScaling


def test_bounds_become_edges_in_order_also_where_they_are_equal() -> None:
    edges, logit = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.linspace(-2.0, 9.0, 111).view(1, 1, 1, -1)
    kept = bounded(logit, edges[None], edges)
    torch.testing.assert_close(kept, logit)
    for bound in ([0.0, 3.0, 4.0, 6.0], [0.0, 3.0, 3.0, 3.0], [0.0, 1.0, 5.0, 5.0]):
        made = bounded(logit, torch.tensor([bound]), edges).flatten()
        assert (made.diff() >= 0).all()
        assert (made <= logit.flatten() + 1e-5).all()
        for high, edge in zip(bound[1:], edges[1:], strict=True):
            assert (made[logit.flatten() < high - 1e-3] < edge + 1e-5).all()
        torch.testing.assert_close(made[-1], 3.0 + 9.0 - torch.tensor(bound[-1]))


def test_the_deterministic_forecast_is_bounded_from_a_higher_rate_on() -> None:
    scaling, like = RainScaling(), torch.zeros(1)
    members = edges_of(HeavyRainBounds(), scaling, (0.01, 0.99), like, deterministic=False)
    expected = torch.logit(torch.tensor([scaling.level(rate) for rate in (2.0, 5.0, 10.0, 20.0, 50.0)]))
    torch.testing.assert_close(members, expected)
    alone = edges_of(HeavyRainBounds(), scaling, (0.01, 0.99), like, deterministic=True)
    torch.testing.assert_close(alone, expected[1:])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rates_mm_h": (5.0, 2.0)}, "two rising numbers"),
        ({"new_area_fraction": (0.1,)}, "one number for each"),
        ({"deterministic_min_rate_mm_h": 50.0}, "leaves fewer than two"),
    ],
)
def test_bounds_that_cannot_be_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HeavyRainBounds(**arguments)  # type: ignore[arg-type]
