"""Advection, and what the network adds to it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests import example_files

from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.io import reading
from echocast.models import base, lagrangian
from echocast.models._lagrangian.detail import bands
from echocast.models._lagrangian.settings import DetailSettings, HeavyRainBounds, NetworkSettings, NoiseSettings
from echocast.models.lagrangian import Lagrangian
from echocast.models.scaling import RainScaling
from echocast.motion import advection
from echocast.motion.advection import advect
from echocast.samples import segments, tensors, windows
from echocast.synthetic import storms
from echocast.verification.scores import contingency, crps


def stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No motion, and none found by refining it."""
    monkeypatch.setattr(Lagrangian, "motion", lambda _, past: torch.zeros(len(past), 2, *past.shape[-2:]))
    monkeypatch.setattr(Lagrangian, "refined_motion", lambda *given: given[2])


def shower(frames: int = 6, size: int = 64) -> torch.Tensor:
    return torch.from_numpy(example_files.blob(frames, size, size, dx=2.0, dy=1.0))[None, :, None]


@pytest.mark.parametrize(("floor", "ceiling"), [(0.0, 60.0), (-10.0, 45.0), (10.0, 70.0)])
def test_an_untrained_network_is_advection_of_rain(floor: float, ceiling: float) -> None:
    scaling = RainScaling(floor_dbz=floor, ceiling_dbz=ceiling, dry_mm_h=0.0)
    model, past = Lagrangian(hidden_channels=[6, 6], scaling=scaling), shower()
    motion = model.motion(past)
    rain = model.scaling.to_smooth_values(model.scaling.to_network(past[:, -1]))  # dry is the floor
    levels = model.scaling.to_network(advect(rain, motion, 4)).clamp(0.01, 0.99)
    torch.testing.assert_close(
        (future := model.forecast(past, 4)).nan_to_num(),
        model.scaling.to_values(levels).masked_fill(future.isnan(), torch.nan).nan_to_num(),
        rtol=1e-3,
        atol=1e-3,
    )
    ours, flow = (one.isfinite() for one in (future, advect(past[:, -1], motion, 4)))
    assert not (ours & ~flow).any()  # less at the edge: what is hardly observed is not forecast
    assert ours.sum() > 0.97 * flow.sum()


@pytest.mark.parametrize("by", [2, 4])
def test_a_finer_grid_keeps_its_detail(by: int) -> None:
    model = Lagrangian(hidden_channels=[6, 6], grid_km=4.0)
    torch.nn.init.normal_(model.output.weight, std=1e-3)
    rain = torch.from_numpy(example_files.blob(4, 64, 64, dx=0.0, dy=0.0))[None, :, None]
    speckled = rain.repeat_interleave(by, -1).repeat_interleave(by, -2)
    speckled[..., ::2] *= 1.5  # stripes of one cell
    made = model.forecast(speckled, 2, context=Context(grid_km=4.0 / by))
    assert made.shape[-2:] == (64 * by, 64 * by)
    middle = made[0, 0, 0, 30 : 9 * by * 2, 10:60].nan_to_num()
    assert middle.diff(dim=-1).abs().mean() > 0.02 * middle.mean()


@pytest.mark.parametrize("step", [5.0, 10.0])
def test_detail_smaller_than_a_cell_fades_by_its_rule(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch)
    decay = DetailSettings(subgrid_decay_minutes=(10.0, 1e9))
    model = Lagrangian(hidden_channels=[6, 6], detail_settings=decay, grid_km=4.0, time_step_minutes=5.0)
    past = torch.full((1, 3, 1, 64, 64), 2.0)
    past[..., ::2] = 4.0  # stripes of one pixel
    made = model.scaling.to_network(model.forecast(past, 4, context=Context(grid_km=1.0, time_step_minutes=step)))[
        0, :, 0, 20
    ]
    now = model.scaling.to_network(past)[0, -1, 0, 20]
    kept = torch.exp(-step * torch.arange(1, 5) / 10.0)
    # Rates of 2 and 4 have means over three of 10/3 and 8/3: stripes the other way round, which stay when theirs fade.
    stay = -np.log(1.25) / np.log(2.0)
    stripes = made[:, 20:40].diff(dim=-1) / now[20:40].diff(dim=-1)
    torch.testing.assert_close(stripes, (stay + (1.0 - stay) * kept)[:, None].expand_as(stripes), rtol=0, atol=2e-3)


def test_faded_detail_leaves_the_rain_of_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the mean of its grey levels, which is that of less rain."""
    stand_still(monkeypatch)
    decay = DetailSettings(subgrid_decay_minutes=(0.1, 0.1))
    model = Lagrangian(hidden_channels=[6, 6], detail_settings=decay, grid_km=4.0, time_step_minutes=5.0)
    past = torch.full((1, 3, 1, 64, 64), 0.5)
    past[..., ::4] = 10.0
    made = model.forecast(past, 1, context=Context(grid_km=1.0, time_step_minutes=5.0))
    torch.testing.assert_close(made, torch.full_like(made, (10.0 + 3 * 0.5) / 4), rtol=1e-4, atol=0)


def test_growth_adds_rain_and_damping_removes_detail() -> None:
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


@pytest.mark.parametrize("by", [1, 4])
def test_the_area_of_heavy_rain_is_bounded(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch)
    model = Lagrangian(hidden_channels=[6, 6], grid_km=4.0, time_step_minutes=5.0)
    storm = 3.0 * torch.from_numpy(example_files.blob(3, 64, 64))[None, :, None]
    calm = torch.linspace(2.0, 4.0, 64 * 64).reshape(64, 64).expand_as(storm)
    past = torch.cat([storm, calm]).repeat_interleave(by, -1).repeat_interleave(by, -2)
    context = Context(grid_km=4.0 / by, time_step_minutes=5.0)
    with torch.no_grad():
        model.output.bias[:16] = 1.5  # more rain everywhere
    grown = model.forecast(past, 2, context=context)
    for rate in (10.0, 20.0):
        now, later = ((made >= rate).float().mean(dim=(2, 3, 4)) for made in (past[:, -1:], grown))
        assert (later <= 2.1 * now + 1e-3).all()
        assert (later[0] > 1.3 * now[0]).all()  # to twice as much it may grow, but for cells that are equal
    model.heavy_rain_bounds = HeavyRainBounds(max_area_growth=1e6)
    free = model.forecast(past, 2, context=context)
    weak = free < 5.0
    torch.testing.assert_close(grown[weak], free[weak])
    order = free[0, 1].flatten().argsort()
    assert (grown[0, 1].flatten()[order].diff() >= -1e-3).all()  # what was more stays more
    assert (free[0] >= 20.0).float().mean() > 2 * (grown[0] >= 20.0).float().mean()


@pytest.mark.parametrize("by", [1, 4])
def test_the_area_of_heavy_rain_of_all_members_together_is_bounded(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch)
    model = Lagrangian(hidden_channels=[6, 6], grid_km=4.0, time_step_minutes=5.0)
    with torch.no_grad():
        model.uncertainty_head[2].bias[:16] = 0.7  # more rain everywhere
        model.uncertainty_head[2].bias[-5:] = 1.0
    storm = 3.0 * torch.from_numpy(example_files.blob(3, 64, 64))[None, :, None]
    past = torch.cat([storm, 0.1 * storm]).repeat_interleave(by, -1).repeat_interleave(by, -2)
    context = Context(grid_km=4.0 / by, time_step_minutes=5.0)
    made = model.ensemble(past, 2, members=6, context=context)
    for rate in (5.0, 10.0, 20.0, 50.0):
        now, later = ((rain >= rate).float().mean(dim=(-3, -2, -1)) for rain in (past[:, -1], made))
        assert (later.mean(dim=1) <= 2.1 * now[:, None] + 1e-3).all()
    assert (made[0, :, 1] >= 10.0).flatten(1).sum(dim=1).unique().numel() > 3  # together: each has its own
    model.heavy_rain_bounds = HeavyRainBounds(max_area_growth=1e6)
    free = model.ensemble(past, 2, members=6, context=context)
    assert (free[0] >= 20.0).float().mean() > 1.5 * (made[0] >= 20.0).float().mean()
    weak = free < 2.0
    torch.testing.assert_close(made[weak], free[weak])


def test_bands_and_the_rest_are_the_whole() -> None:
    level = torch.rand(2, 1, 40, 50)
    detail = bands(level, (3, 9))
    assert detail.shape == (2, 2, 40, 50)
    smooth = level - detail.sum(dim=1, keepdim=True)
    assert smooth.diff(dim=-1).abs().mean() < 0.15 * level.diff(dim=-1).abs().mean()
    assert not bands(torch.rand(1, 1, 1, 1), (3, 9)).any()  # one cell has no detail


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (5, 1)])
@pytest.mark.parametrize("grid_km", [1.0, 4.0])
def test_any_grid_however_small_is_forecast(size: tuple[int, int], grid_km: float) -> None:
    past = torch.full((1, 3, 1, *size), 3.0)
    made = trained().forecast(past, 2, context=Context(grid_km=grid_km, time_step_minutes=5.0))
    assert made.shape == (1, 2, 1, *size)
    assert made.isfinite().any()


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


def trained() -> Lagrangian:
    """A model whose output and uncertainty head are not zero."""
    torch.manual_seed(1)
    model = Lagrangian(hidden_channels=[6, 6], grid_km=4.0, time_step_minutes=5.0)
    for head in (model.output, model.uncertainty_head[2]):
        torch.nn.init.normal_(head.weight, std=0.02)
    return model.eval()


@pytest.mark.parametrize("by", [1, 3])
def test_rows_by_rows_is_the_same_as_all_at_once(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, past = trained(), shower(size=60)
    past[0, -1, 0, 10:20, 30:40] = torch.nan
    context = Context(grid_km=4.0 / by, time_step_minutes=5.0)
    whole, members = model.forecast(past, 3, context=context), model.ensemble(past, 3, members=2, context=context)
    monkeypatch.setattr(advection, "STRIP_PIXELS", 60 * 7)
    torch.testing.assert_close(model.forecast(past, 3, context=context), whole, rtol=0, atol=1e-6, equal_nan=True)
    strips = model.ensemble(past, 3, members=2, context=context)
    torch.testing.assert_close(strips, members, rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
def test_a_mirrored_past_has_a_mirrored_forecast(axes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch)
    model, past = trained(), shower(size=32)
    mirrored = model.forecast(past.flip(axes), 3).flip(axes)
    torch.testing.assert_close(mirrored, model.forecast(past, 3), rtol=1e-4, atol=1e-4)


def test_learning_and_forecasting_are_the_same_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lagrangian, "match_moments", lambda noise, *_, **__: noise)  # training has independent members
    model, past = trained(), shower()
    model.network_settings = NetworkSettings(mirror_images=False)
    model.heavy_rain_bounds = HeavyRainBounds(new_area_fraction=(1.0,) * 4)
    levels = model.scaling.to_level(past)
    logits = model(levels, 4, Context(4.0, 5.0))
    made = model.forecast(past, 4, context=Context(grid_km=4.0, time_step_minutes=5.0))
    inside = made.isfinite()
    expected = model.scaling.to_values(torch.sigmoid(logits))
    torch.testing.assert_close(made[inside], expected[inside], rtol=1e-3, atol=1e-3)
    futures = model.member_logits(levels, 4, 2, Context(4.0, 5.0), torch.Generator().manual_seed(7))
    members = model.ensemble(past, 4, members=2, seed=7, context=Context(grid_km=4.0, time_step_minutes=5.0))
    inside = members.isfinite()
    expected = model.scaling.to_values(torch.sigmoid(futures))
    torch.testing.assert_close(members[inside], expected[inside], rtol=1e-3, atol=1e-3)


def test_members_differ_are_repeated_by_their_seed_and_grow_apart_with_the_noise_scale() -> None:
    model, past = trained(), shower()
    first = model.ensemble(past, 3, members=4, seed=1)
    assert first.shape == (1, 4, 3, 1, 64, 64)
    torch.testing.assert_close(model.ensemble(past, 3, members=4, seed=1), first, equal_nan=True)
    spread = first.nan_to_num().std(dim=1).mean()
    assert spread > 0
    other = model.ensemble(past, 3, members=4, seed=2)
    assert (other - first).abs().nan_to_num().mean() > 0.1 * spread
    model.noise_settings = NoiseSettings(noise_scale=3.0)
    assert model.ensemble(past, 3, members=4, seed=1).nan_to_num().std(dim=1).mean() > 1.5 * spread


def test_cell_size_time_step_and_unobserved_cells_are_inputs() -> None:
    model, past = trained(), shower()
    levels = model.scaling.to_level(past)
    usual = model(levels, 2, Context(4.0, 5.0))
    assert (model(levels, 2, Context(3.0, 5.0)) - usual).abs().max() > 1e-4
    assert (model(levels, 2, Context(4.0, 10.0)) - usual).abs().max() > 1e-4
    torch.testing.assert_close(model(levels, 2), usual)
    dry = torch.where(levels == 0, torch.nan, levels)
    assert (model(dry, 2, Context(4.0, 5.0)) - usual).abs().max() > 1e-4


def test_it_takes_steps_of_a_third_to_three_times_its_own() -> None:
    model = trained()
    for step in (2.0, 5.0, 15.0):
        model.check_past(6, step)
    with pytest.raises(MissingFrames, match="every 30 min"):
        model.check_past(6, 30.0)


def test_a_long_past_is_cut_and_leads_between_are_interpolated() -> None:
    model, past = trained(), shower(12)
    context = Context(4.0, 5.0)
    levels = model.scaling.to_level(past)
    torch.testing.assert_close(model(levels, 3, context), model(levels[:, -6:], 3, context))
    hidden = model.hidden_states(levels, model.motion(past), 5, context)
    assert hidden.shape[1] == 3  # leads 1, 3 and 5
    growth = model.changes(model.output, hidden, 5, levels).growth
    torch.testing.assert_close(growth[:, 1], (growth[:, 0] + growth[:, 2]) / 2)


@pytest.mark.data
def test_the_shipped_weights_beat_advection_from_the_first_lead_on(data_kit: Path) -> None:
    """On a window every 140 minutes of the newest 476 frames of validation: nothing held back for the last look."""
    rain, _ = reading.newest(reading.find([str(data_kit / "taasrad19/validation")]), 476)
    starts = segments.window_starts(segments.segments(rain), 10, 18, 28)
    cases = windows.stack(windows.Windows(rain, starts, past=10, future=18))
    past, observed = cases[:, :10], cases[:, 10:, 0].numpy()
    context = Context(grid_km=3.75, time_step_minutes=5.0)
    made = {
        name: base.resolve(name).forecast(past, 18, context=context)[:, :, 0].numpy()
        for name in ("optical_flow", "lagrangian")
    }
    truth = np.where(np.isfinite(made["optical_flow"]) & np.isfinite(made["lagrangian"]), observed, np.nan)
    csi = {
        name: contingency.values(contingency.statistics(rain, truth, thresholds=(0.5, 1.0)))["csi"]
        for name, rain in made.items()
    }
    assert (csi["lagrangian"][0] > csi["optical_flow"][0] - 0.01).all()
    assert (csi["lagrangian"].mean(axis=0) > 1.08 * csi["optical_flow"].mean(axis=0)).all()


@pytest.mark.data
def test_the_spread_of_the_shipped_members_is_about_their_error(data_kit: Path) -> None:
    rain, _ = reading.newest(reading.find([str(data_kit / "taasrad19/validation")]), 280)
    starts = segments.window_starts(segments.segments(rain), 10, 18, 56)
    cases = windows.stack(windows.Windows(rain, starts, past=10, future=18))
    model = base.resolve("lagrangian")
    assert isinstance(model, Lagrangian)
    members = model.ensemble(cases[:, :10], 18, members=10, context=Context(grid_km=3.75, time_step_minutes=5.0))[
        :, :, :, 0
    ].numpy()
    observed = cases[:, 10:, 0].numpy()
    found = crps.values(crps.statistics(members, observed, thresholds=(0.5,)))["crps"].mean()
    alone = crps.values(crps.statistics(members[:, :1], observed, thresholds=(0.5,)))["crps"].mean()
    assert found < 0.75 * alone
    wet = [np.nanmean(np.where(np.isfinite(part), part >= 1.0, np.nan)) for part in (members[:, 0], observed)]
    assert 0.5 < wet[0] / wet[1] < 2.0  # a member has as much rain as was observed


def test_no_bright_edge_where_the_observed_area_ends() -> None:
    rain = storms.generate(frames=6, seed=0)
    future = base.resolve("lagrangian").forecast(
        tensors.to_tensor(rain), 18, context=Context(grid_km=2.0, time_step_minutes=5.0)
    )
    for lead in (5, 11, 17):
        rate = future[0, lead, 0].numpy()
        seen = np.isfinite(rate)
        inner = ndimage.binary_erosion(seen, border_value=1)
        rim, near = seen & ~inner, inner & ~ndimage.binary_erosion(inner, iterations=3, border_value=1)
        beside = ndimage.maximum_filter(np.where(near, rate, 0.0), 9)
        assert rim.sum() > 200
        assert (rate[rim] > 2 * beside[rim] + 0.5).mean() < 0.005, lead


def test_motion_is_refined_on_grids_finer_than_the_one_learned_from_only() -> None:
    past, model = shower(size=48), base.resolve("lagrangian")
    motion = torch.zeros(len(past), 2, *past.shape[-2:])
    for grid_km, moves in ((1.0, True), (3.75, False)):
        found = model.refined_motion(past, motion, Context(grid_km=grid_km, time_step_minutes=5.0))
        assert bool((found != 0).any()) is moves
