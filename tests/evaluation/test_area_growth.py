"""How far areas of heavy rain grow, and the command that makes bounds of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests import example_files

from echocast import archive
from echocast.cli.main import status
from echocast.errors import DataError, MissingFrames
from echocast.evaluation import used_archives
from echocast.evaluation.area_growth import AreaGrowth, area_growth
from echocast.models import base
from echocast.models.lagrangian import Lagrangian

DAY = np.timedelta64(1, "D")
HEAVY = (0, 0, 4, 12)
"""Cells of 12 mm/h in the four frames of a day, of 100 that have 1 mm/h."""


def of_days(days: int, heavy: tuple[int, ...] = HEAVY) -> xr.DataArray:
    """A frame every half an hour, on each of some days."""
    frames = np.ones((len(heavy), 100), np.float32)
    for frame, cells in zip(frames, heavy, strict=True):
        frame[:cells] = 12.0
    rain = frames.reshape(-1, 10, 10)
    made = [example_files.field(rain, start=example_files.TIME + n * DAY, minutes=30) for n in range(days)]
    return xr.concat(made, "time", combine_attrs="override")


def test_new_areas_and_growth_are_those_counted_by_hand() -> None:
    found = area_growth(of_days(6), rates_mm_h=(2.0, 10.0, 50.0))
    # From frames without heavy rain come 0, .04, .12 and .04, .12; from .04 comes .12, of which .064 is new.
    assert found.new_area_fraction[0] == pytest.approx(0.064)
    assert found.max_area_growth == pytest.approx((0.12 - 0.064) / 0.04)
    assert found.days == (6, 0)
    assert math.isnan(found.new_area_fraction[1])
    within = area_growth(of_days(6), rates_mm_h=(2.0, 10.0), minutes=30)
    assert within.new_area_fraction[0] == pytest.approx(0.02)  # 0 and .04


def test_each_pair_weighs_as_its_first_area_and_the_quantile_is_of_that() -> None:
    rain = xr.concat([of_days(5, (2, 20)), of_days(5, (50, 50)).assign_coords(
        time=of_days(5, (50, 50)).time.values + 100 * DAY)], "time", combine_attrs="override")  # fmt: skip
    grown = [area_growth(rain, rates_mm_h=(2.0, 10.0), quantile=q).max_area_growth for q in (0.9, 0.97)]
    assert grown == pytest.approx([1.0, 10.0])  # tenfold growth has 2 of 52 parts of the area


def test_areas_are_counted_on_the_coarser_cells() -> None:
    """Four heavy cells in a row are four cells of 12 mm/h, and of 2 x 2 cells none that has 10."""
    fine, coarse = (area_growth(of_days(6), rates_mm_h=(2.0, 10.0), coarsen=by) for by in (1, 2))
    assert fine.days == (6,)
    assert coarse.days == (6,)  # the second row of heavy cells, in the last frame, makes one
    assert coarse.new_area_fraction[0] < fine.new_area_fraction[0]


@pytest.mark.usefixtures("as_users_run")
def test_too_little_is_not_taken_for_a_statistic() -> None:
    few = area_growth(of_days(4), rates_mm_h=(2.0, 10.0))
    assert few == AreaGrowth((2.0, 10.0), few.max_area_growth, few.new_area_fraction, (4,))
    assert math.isnan(few.max_area_growth)
    with pytest.raises(DataError, match="quantile 1 must be above 0 and below 1"):
        area_growth(of_days(4), rates_mm_h=(2.0, 10.0), quantile=1.0)
    single = of_days(2)[[0]]
    with pytest.raises((MissingFrames, DataError)):
        area_growth(single, rates_mm_h=(2.0, 10.0))


def store(folder: Path, days: int) -> Path:
    """An archive of 16 x 16 cells in which a heavy shower grows on each day."""
    (folder / "files").mkdir(parents=True)
    for day in range(days):
        rain = example_files.blob(6, 16, 16) * np.linspace(0.5, 3.0, 6, dtype=np.float32)[:, None, None]
        example_files.netcdf(folder / "files", time=example_files.TIME + day * DAY, rain=rain)
    archive.write([folder / "files"], folder / "radar.zarr")
    return folder / "radar.zarr"


def test_the_command_saves_them_with_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    small = base.construct("lagrangian", {"hidden_channels": [6, 6]})
    base.save(small, tmp_path / "small.safetensors")
    radar, out = store(tmp_path / "six", 6), tmp_path / "mine.safetensors"
    words = ["bounds", str(radar), "--model", str(tmp_path / "small.safetensors"), "--out", str(out)]
    assert status(words) == 0
    made = base.load(out)
    assert isinstance(made, Lagrangian)
    assert isinstance(small, Lagrangian)
    old, new = small.heavy_rain_bounds, made.heavy_rain_bounds
    found = area_growth(archive.open(radar), rates_mm_h=old.rates_mm_h)
    assert new.max_area_growth == found.max_area_growth
    assert new.max_area_growth != old.max_area_growth
    for now, then, kept in zip(found.new_area_fraction, old.new_area_fraction, new.new_area_fraction, strict=True):
        assert kept == (then if math.isnan(now) else now)
    assert math.isnan(found.new_area_fraction[-1])  # 50 mm/h is never reached, and keeps its bound
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), made.parameters(), strict=True))
    assert [use.purposes for use in used_archives.uses_of(str(out))] == [("tuning",)]
    assert "50 mm/h" in capsys.readouterr().out


@pytest.mark.usefixtures("as_users_run")
def test_the_command_refuses_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, out = store(tmp_path / "two", 2), str(tmp_path / "mine.safetensors")
    base.save(base.construct("lagrangian", {"hidden_channels": [6, 6]}), tmp_path / "small.safetensors")
    small = str(tmp_path / "small.safetensors")
    assert status(["bounds", str(few), "--model", small, "--out", out]) == 1
    assert "reaches 5 mm/h on 2 days, too few to derive bounds from" in " ".join(capsys.readouterr().err.split())
    assert status(["bounds", str(few), "--model", "persistence", "--out", out]) == 1
    assert "persistence: has no bounds on heavy rain" in capsys.readouterr().err
    (tmp_path / "mine.archives.toml").write_text("")
    assert status(["bounds", str(few), "--model", small, "--out", out]) == 1
    assert "would be written over" in " ".join(capsys.readouterr().err.split())
    assert not Path(out).exists()
