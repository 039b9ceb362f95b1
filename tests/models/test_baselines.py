"""Forecasters without weights, on rain whose future is known."""

import torch
from tests import samples

from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence


def test_persistence_repeats_the_newest_that_was_seen() -> None:
    past = torch.tensor([[1.0, 2.0, 3.0], [4.0, float("nan"), float("nan")]]).view(1, 2, 1, 1, 3)
    assert Persistence().forecast(past, 2)[0, :, 0, 0].tolist() == [[4.0, 2.0, 3.0]] * 2


def test_optical_flow_beats_persistence_on_a_moving_shower() -> None:
    rain = torch.from_numpy(samples.blob(14, 64, 64, dx=2.0, dy=1.0))[None, :, None]
    past, future = rain[:, :6], rain[:, 6:]
    flow = OpticalFlow().forecast(past, 8)
    known = flow.isfinite()
    error = (flow - future)[known].abs().mean()
    assert error < 0.25 * (Persistence().forecast(past, 8) - future)[known].abs().mean()
