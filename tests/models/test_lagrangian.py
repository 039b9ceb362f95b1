"""Advection first, and then what a network adds to it."""

import numpy as np
import pytest
import torch
from tests import samples

from echocast.models.lagrangian import Lagrangian, _bands
from echocast.models.optical_flow import OpticalFlow
from echocast.motion.advection import advect


def shower(frames: int = 6, size: int = 64) -> torch.Tensor:
    return torch.from_numpy(samples.blob(frames, size, size, dx=2.0, dy=1.0))[None, :, None]


def test_an_untrained_network_is_advection_of_grey_levels() -> None:
    model, past = Lagrangian(hidden_channels=[6, 6]), shower()
    motion = model.motion(past)
    levels = advect(model.scaling.to_network(past[:, -1]), motion, 4).clamp(0.01, 0.99)
    torch.testing.assert_close(
        model.forecast(past, 4).nan_to_num(), model.scaling.to_rate(levels).nan_to_num(), rtol=1e-3, atol=1e-3
    )
    flow = OpticalFlow().forecast(past, 4)
    assert (model.forecast(past, 4).isfinite() == flow.isfinite()).all()


@pytest.mark.parametrize("by", [2, 4])
def test_a_finer_grid_keeps_its_detail(by: int) -> None:
    model = Lagrangian(hidden_channels=[6, 6], grid_km=4.0)
    torch.nn.init.normal_(model.output.weight, std=1e-3)
    rain = torch.from_numpy(samples.blob(4, 64, 64, dx=0.0, dy=0.0))[None, :, None]
    speckled = rain.repeat_interleave(by, -1).repeat_interleave(by, -2)
    speckled[..., ::2] *= 1.5  # stripes of one cell
    made = model.forecast(speckled, 2, grid_km=4.0 / by)
    assert made.shape[-2:] == (64 * by, 64 * by)
    middle = made[0, 0, 0, 30 : 9 * by * 2, 10:60].nan_to_num()
    assert middle.diff(dim=-1).abs().mean() > 0.02 * middle.mean()


def test_growth_and_damping_do_what_they_say() -> None:
    model, past = Lagrangian(hidden_channels=[6, 6]), shower()
    plain = model.forecast(past, 2).nan_to_num()
    with torch.no_grad():
        model.output.bias[:16] = 0.3
        grown = model.forecast(past, 2).nan_to_num()
        model.output.bias.zero_()
        model.output.bias[16:] = -1.0
        smooth = model.forecast(past, 2).nan_to_num()
    assert grown.sum() > 1.2 * plain.sum()
    assert smooth.max() < 0.95 * plain.max()


def test_bands_and_the_rest_are_the_whole() -> None:
    level = torch.rand(2, 1, 40, 50)
    bands = _bands(level, 1)
    assert bands.shape == (2, 2, 40, 50)
    smooth = level - bands.sum(dim=1, keepdim=True)
    assert smooth.diff(dim=-1).abs().mean() < 0.15 * level.diff(dim=-1).abs().mean()
    assert not _bands(torch.rand(1, 1, 3, 3), 4).any()  # too small a grid for bands


def test_it_learns_that_a_shower_grows() -> None:
    torch.manual_seed(0)
    model = Lagrangian(hidden_channels=[8, 8])
    rain = shower(10) * torch.from_numpy(1.15 ** np.arange(10)).float().view(1, -1, 1, 1, 1)
    past, future = model.scaling.to_network(rain[:, :6]), model.scaling.to_network(rain[:, 6:])
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(past, 4), future)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    before, after = (torch.sigmoid(logits) for logits in (Lagrangian(hidden_channels=[8, 8])(past, 4), model(past, 4)))
    assert (after - future).abs().mean() < 0.8 * (before - future).abs().mean()
